//! One token a character, for small models trained from nothing.

use serde_json::{Map, Value, json};

use crate::model::{Error, Result};

/// Text of token 0.
pub(super) const END: &str = "<eos>";

/// The tokenizer of an alphabet in the format of `tokenizer.json`.
pub(super) fn description(alphabet: &str) -> Result<Value> {
    let mut vocabulary = Map::new();
    vocabulary.insert(END.to_owned(), json!(0));
    for character in alphabet.chars() {
        let id = vocabulary.len();
        if vocabulary.insert(character.to_string(), json!(id)).is_some() {
            return Err(Error::Tokenizer(format!("the alphabet repeats {character:?}")));
        }
    }
    if vocabulary.len() == 1 {
        return Err(Error::Tokenizer("the alphabet is empty".into()));
    }
    Ok(json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": 0, "content": END, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Split", "pattern": {"Regex": "(?s)."}, "behavior": "Isolated", "invert": false,
        },
        "post_processor": null,
        "decoder": {"type": "Fuse"},
        // The unknown token is no token: a character outside the alphabet is an error.
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "(unknown)"},
    }))
}

#[cfg(test)]
mod tests {
    use crate::tokenizer::Tokenizer;

    #[test]
    fn characters_become_tokens_in_order_and_come_back() {
        let tokenizer = Tokenizer::characters("abc= \n").unwrap();
        let ids = tokenizer.encode("cab=\n a", true).unwrap();
        assert_eq!(ids, [3, 1, 2, 4, 6, 5, 1]);
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "cab=\n a");
        assert_eq!(tokenizer.encode("a<eos>", false).unwrap(), [1, 0]);
        assert_eq!(tokenizer.decode(&[1, 0], true).unwrap(), "a");
        assert_eq!((tokenizer.eos(), tokenizer.vocab_size()), (Some(0), 7));
    }

    #[test]
    fn a_character_outside_the_alphabet_is_an_error() {
        let error = Tokenizer::characters("abc").unwrap().encode("abd", false).unwrap_err();
        assert!(error.to_string().contains("abd"), "{error}");
        assert!(Tokenizer::characters("").is_err());
        assert!(Tokenizer::characters("aba").unwrap_err().to_string().contains("'a'"));
    }

    #[test]
    fn a_saved_tokenizer_is_the_same_tokenizer() {
        let folder = tempfile::tempdir().unwrap();
        Tokenizer::characters("xyz").unwrap().save(folder.path()).unwrap();
        let loaded = Tokenizer::from_folder(folder.path()).unwrap();
        assert_eq!(loaded.encode("zyx<eos>", false).unwrap(), [3, 2, 1, 0]);
        assert_eq!((loaded.eos(), loaded.has_chat_template()), (Some(0), false));
    }
}
