//! Text to token ids and back, and conversations to text.
//!
//! In: a `tokenizer.json`, the metadata of a GGUF file, or an alphabet. Out: token ids of the model's
//! vocabulary. All three become one description in the format of `tokenizer.json`, so that whatever
//! was loaded can be saved beside a trained model and read by other programs.

mod characters;
mod chat;
mod gguf;

use std::path::Path;

pub use chat::Message;
use serde_json::{Value, json};
use tokenizers::Tokenizer as Library;

use crate::model::{Error, Result, Source, load::gguf::GgufFile, save::save_text};

const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const CHAT_TEMPLATE: &str = "chat_template.jinja";

/// A tokenizer with its special tokens and chat template.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    library: Library,
    bos: Option<u32>,
    eos: Option<u32>,
    chat_template: Option<String>,
}

impl Tokenizer {
    /// The tokenizer of a model; an adapter has its base model's, unless it brings one.
    ///
    /// # Errors
    /// If there is none, or it is corrupt or of an unknown kind.
    pub fn load(source: &Source) -> Result<Self> {
        match source {
            Source::Gguf(path) => Self::from_gguf(path),
            Source::Folder(folder) => Self::from_folder(folder),
            Source::Adapter(folder) if folder.join(TOKENIZER).is_file() => {
                Self::from_folder(folder)
            }
            Source::Adapter(_) => Self::load(&source.base()?),
        }
    }

    /// The tokenizer in a GGUF file's metadata.
    ///
    /// # Errors
    /// If the file is corrupt or its tokenizer is of a kind that is not known exactly: an approximate
    /// one would train on other tokens than the model was made with.
    pub fn from_gguf(path: &Path) -> Result<Self> {
        let file = GgufFile::open(path)?;
        let description = gguf::description(&file)?;
        let id = |key: &str| file.unsigned(key).and_then(|id| u32::try_from(id).ok());
        Ok(Self {
            library: library(path, description.to_string().as_bytes())?,
            bos: id("tokenizer.ggml.bos_token_id"),
            eos: id("tokenizer.ggml.eos_token_id"),
            chat_template: file.string("tokenizer.chat_template").map(str::to_owned),
        })
    }

    /// The tokenizer of a Hugging Face folder: `tokenizer.json`, and `tokenizer_config.json` for the
    /// special tokens and the chat template.
    ///
    /// # Errors
    /// If a file is missing or corrupt.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let path = folder.join(TOKENIZER);
        let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
        let library = library(&path, &bytes)?;
        let mut tokenizer = Self { library, bos: None, eos: None, chat_template: None };
        let path = folder.join(TOKENIZER_CONFIG);
        if path.is_file() {
            let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
            let config: Value = serde_json::from_str(&text).map_err(|e| Error::format(&path, e))?;
            tokenizer.bos = tokenizer.named_token(&config, "bos_token");
            tokenizer.eos = tokenizer.named_token(&config, "eos_token");
            tokenizer.chat_template = chat::template_of(&config);
        }
        let path = folder.join(CHAT_TEMPLATE);
        if path.is_file() {
            let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
            tokenizer.chat_template = Some(text);
        }
        Ok(tokenizer)
    }

    /// A tokenizer with one token a character: token 0 ends a text, then the characters of `alphabet`
    /// in order.
    ///
    /// # Errors
    /// If the alphabet is empty or repeats a character.
    pub fn characters(alphabet: &str) -> Result<Self> {
        let description = characters::description(alphabet)?;
        let library = library(Path::new("(alphabet)"), description.to_string().as_bytes())?;
        Ok(Self { library, bos: None, eos: Some(0), chat_template: None })
    }

    /// Token ids of a text. Special tokens that the text spells out are recognised; those that the
    /// tokenizer puts around a text, such as a begin token, are added only if `add_special` says so.
    ///
    /// # Errors
    /// If the text cannot be expressed in the vocabulary.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>> {
        let encoding = self
            .library
            .encode_fast(text, add_special)
            .map_err(|e| Error::Tokenizer(format!("{e} in {text:?}")))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Text of token ids. Bytes that are no whole character become the replacement character.
    ///
    /// # Errors
    /// If the decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String> {
        self.library.decode(ids, skip_special).map_err(|e| Error::Tokenizer(e.to_string()))
    }

    /// The begin-of-text token.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The end-of-text token.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// Number of tokens, special ones included.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.library.get_vocab_size(true)
    }

    /// Whether another tokenizer has the same tokens under the same numbers.
    #[must_use]
    pub fn same_tokens(&self, other: &Self) -> bool {
        self.vocab_size() == other.vocab_size()
            && self.library.get_vocab(true) == other.library.get_vocab(true)
    }

    /// Whether conversations can be rendered.
    #[must_use]
    pub fn has_chat_template(&self) -> bool {
        self.chat_template.is_some()
    }

    /// The text of a conversation by the model's own template; `add_generation_prompt` opens the
    /// assistant's turn at the end. The text spells out its special tokens: encode it without adding
    /// any.
    ///
    /// # Errors
    /// If the model has no template, or the template fails, or refuses the conversation.
    pub fn chat(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let Some(template) = &self.chat_template else {
            return Err(Error::Tokenizer("the model has no chat template".into()));
        };
        let token = |id: Option<u32>| id.and_then(|id| self.library.id_to_token(id));
        let specials = chat::Specials { bos: token(self.bos), eos: token(self.eos) };
        chat::render(template, messages, add_generation_prompt, &specials)
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` to an existing folder.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let text = self.library.to_string(false).map_err(|e| Error::Tokenizer(e.to_string()))?;
        save_text(&folder.join(TOKENIZER), &text)?;
        let token = |id: Option<u32>| id.and_then(|id| self.library.id_to_token(id));
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": token(self.bos),
            "eos_token": token(self.eos),
            "chat_template": self.chat_template,
            "clean_up_tokenization_spaces": false,
        });
        save_text(&folder.join(TOKENIZER_CONFIG), &format!("{config:#}\n"))
    }

    /// The id of a special token that a configuration names by its text, or by an object with it.
    fn named_token(&self, config: &Value, field: &str) -> Option<u32> {
        let value = config.get(field)?;
        let text = value.as_str().or_else(|| value.get("content")?.as_str())?;
        self.library.token_to_id(text)
    }
}

fn library(path: &Path, description: &[u8]) -> Result<Library> {
    let corrupt =
        |e: &dyn std::fmt::Display| Error::format(path, format!("corrupt tokenizer: {e}"));
    // The library panics on a decoder that is cut off and on a malformed precompiled normaliser:
    // the first is found by parsing before it does, the second only by catching it.
    serde_json::from_slice::<Value>(description).map_err(|e| corrupt(&e))?;
    let mut library = std::panic::catch_unwind(|| Library::from_bytes(description))
        .map_err(|_| corrupt(&"the description is malformed"))?
        .map_err(|e| corrupt(&e))?;
    // Checkpoints may carry the limits of the run that made them; rows are cut by who builds them.
    library.with_padding(None);
    library.with_truncation(None).map_err(|e| corrupt(&e))?;
    Ok(library)
}
