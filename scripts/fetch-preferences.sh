#!/usr/bin/env bash
# Fetches real human preference data: snippets of product reviews with every rater's score, from the
# source distribution of vaderSentiment 3.3.2 (MIT licence; Hutto & Gilbert, ICWSM 2014), and turns
# them into preference pairs: the snippet that most rater pairs find more positive is `chosen`.
#
#   scripts/fetch-preferences.sh [DIRECTORY]     default: data/reviews
#
# HELDOUT is the number of held-out pairs, 128 without it and 493 at most, and TRAIN that of pairs for training
# (400); LONGEST is the longest snippet in characters (160; a smaller one leaves fewer pairs). Writes train.jsonl and heldout.jsonl there (no snippet is in both), with the columns prompt, chosen,
# rejected and confidence (the share of rater pairs that agree). Needs python3 with pip.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:-data/reviews}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$work" vaderSentiment==3.3.2
echo "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9  $work/vaderSentiment-3.3.2.tar.gz" |
    sha256sum --check --quiet
tar -xzf "$work/vaderSentiment-3.3.2.tar.gz" -C "$work"
tar -xzf "$work/vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz" -C "$work"
mkdir -p "$target"
python3 - "$work/hutto_ICWSM_2014" "$target" "${HELDOUT:-128}" "${TRAIN:-400}" "${LONGEST:-160}" <<'PYTHON'
import ast, html, json, os, random, sys

source, target = sys.argv[1:3]
heldout, train, longest = map(int, sys.argv[3:])


def table(name):
    with open(os.path.join(source, name), encoding="utf-8-sig", errors="replace") as lines:
        return [line.rstrip("\n").split("\t") for line in lines if line.strip()]


texts = {row[0]: html.unescape(row[2]).strip() for row in table("amazonReviewSnippets_GroundTruth.txt")}
ratings = {row[0]: ast.literal_eval(row[3]) for row in table("amazonReviewSnippets_anonDataRatings.txt")}
ids = [i for i in texts if i in ratings and 30 <= len(texts[i]) <= longest]
random.Random(0).shuffle(ids)


def share(a, b):
    """The share of rater pairs that put the first text above the second; ties count half."""
    wins = sum((x > y) + (x == y) / 2 for x in ratings[a] for y in ratings[b])
    return wins / (len(ratings[a]) * len(ratings[b]))


def pairs(ids, count):
    found = []
    for a, b in zip(ids[::2], ids[1::2]):
        p = share(a, b)
        if max(p, 1 - p) < 0.8:
            continue
        best, other = (a, b) if p > 0.5 else (b, a)
        found.append({
            "prompt": "Product review:\n",
            "chosen": texts[best],
            "rejected": texts[other],
            "confidence": round(max(p, 1 - p), 4),
        })
        if len(found) == count:
            return found
    sys.exit(f"only {len(found)} pairs of {count}")


# The last quarter gives 227 pairs, the last half 493; the 400 for training come before either.
cut = len(ids) * 3 // 4 if heldout <= 227 else len(ids) // 2
if longest < 160:
    # Fewer snippets: both sides get what they need of them.
    cut = len(ids) * train // (train + heldout)
for name, part, count in [("train", ids[:cut], train), ("heldout", ids[cut:], heldout)]:
    path = os.path.join(target, name + ".jsonl")
    with open(path + ".tmp", "w", encoding="utf-8") as out:
        for pair in pairs(part, count):
            out.write(json.dumps(pair, ensure_ascii=False) + "\n")
    os.replace(path + ".tmp", path)
    print(f"{path}: {count} pairs")
PYTHON
