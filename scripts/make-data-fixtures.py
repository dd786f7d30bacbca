#!/usr/bin/env python3
"""Writes the Parquet files of runtime/tests/fixtures/data as data set hubs write them.

Needs pyarrow. Run from the root of the repository.
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = pathlib.Path("runtime/tests/fixtures/data")


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def main():
    # Conversations with an implicit prompt and extra columns, as UltraFeedback has them.
    conversations = pa.table(
        {
            "prompt_id": ["a", "b", "c"],
            "chosen": [
                [user("one"), assistant("good")],
                [user("two"), assistant("yes"), user("more"), assistant("fine")],
                [user("drei"), assistant("schön")],
            ],
            "rejected": [
                [user("one"), assistant("bad")],
                [user("two"), assistant("yes"), user("more"), assistant("no")],
                [user("drei"), assistant("übel")],
            ],
            "score_chosen": [7.5, 8.0, None],
            "margin": pa.array([1, 2, 3], pa.int32()),
        }
    )
    # Two row groups, so that a reader has to go on to the second.
    pq.write_table(conversations, FOLDER / "conversations.parquet", row_group_size=2)
    singles = pa.table(
        {
            "prompt": ["p", "q"],
            "completion": ["c", "d"],
            "label": [True, False],
            "ref_logps": pa.array([-1.5, -2.25], pa.float32()),
            "when": pa.array([0, 1], pa.timestamp("ms")),
        }
    )
    pq.write_table(singles, FOLDER / "singles.parquet")
    pq.write_table(singles, FOLDER / "zstd.parquet", compression="zstd")


if __name__ == "__main__":
    main()
