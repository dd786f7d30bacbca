//! From turns to text: what stands before and after each message.

use ponens_dsl::Diagnostic;

use super::record::{TextExample, Turns};
use crate::tokenizer::{Message, Tokenizer};

/// Renders a conversation as one text.
pub trait ChatRender: Send + Sync {
    /// The text; with `generate` up to the point where the next assistant turn begins.
    ///
    /// # Errors
    /// With the reason why this conversation cannot be rendered.
    fn render(&self, messages: &[Message], generate: bool) -> Result<String, String>;
}

impl ChatRender for Tokenizer {
    fn render(&self, messages: &[Message], generate: bool) -> Result<String, String> {
        self.chat(messages, generate).map_err(|e| e.to_string())
    }
}

/// How a prompt and a response become text.
pub enum PromptFormat {
    /// The prompt put in place of `{prompt}` in a text; the response follows it directly.
    Plain(String),
    /// A chat template; strings count as one user message and one assistant message.
    Chat(Box<dyn ChatRender>),
}

/// An example as text: what the responses share, and how each goes on.
pub(super) struct Rendered {
    pub(super) prompt: String,
    pub(super) responses: Vec<String>,
}

impl PromptFormat {
    /// The prompt as it is: the template `{prompt}`.
    pub fn plain() -> Self {
        Self::Plain("{prompt}".into())
    }

    /// Whether the tokenizer puts its own tokens around a text: a chat template spells them out.
    pub(super) fn add_special(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    pub(super) fn render(&self, record: &TextExample) -> Result<Rendered, Diagnostic> {
        match self {
            Self::Plain(template) => {
                let prompt = fill(template, &plain(&record.prompt, "prompt")?)?;
                let named = record.named_responses();
                let responses = named.map(|(name, r)| plain(r, name)).collect::<Result<_, _>>()?;
                Ok(Rendered { prompt, responses })
            }
            Self::Chat(chat) => {
                let prompt = messages(&record.prompt, "user");
                let refused = |reason: String| {
                    Diagnostic::error(
                        "E0403",
                        format!("the chat template refuses the row: {reason}"),
                    )
                };
                let shared = chat.render(&prompt, true).map_err(refused)?;
                let continuation = |turns: &Turns| -> Result<String, Diagnostic> {
                    let mut all = prompt.clone();
                    all.extend(messages(turns, "assistant"));
                    let text = chat.render(&all, false).map_err(refused)?;
                    match text.strip_prefix(shared.as_str()) {
                        Some(rest) => Ok(rest.trim_end_matches('\n').to_owned()),
                        None => Err(refused(
                            "the rendered conversation does not begin with the rendered prompt"
                                .into(),
                        )),
                    }
                };
                let responses = record.named_responses().map(|(_, turns)| continuation(turns));
                let responses = responses.collect::<Result<_, _>>()?;
                Ok(Rendered { prompt: shared, responses })
            }
        }
    }
}

fn fill(template: &str, prompt: &str) -> Result<String, Diagnostic> {
    match template.split_once("{prompt}") {
        Some((before, after)) => Ok(format!("{before}{prompt}{after}")),
        None => Err(Diagnostic::error(
            "E0402",
            format!("the prompt template {template:?} has no `{{prompt}}`"),
        )),
    }
}

fn plain(turns: &Turns, name: &str) -> Result<String, Diagnostic> {
    match turns {
        Turns::Text(text) => Ok(text.clone()),
        Turns::Chat(_) => {
            Err(Diagnostic::error("E0402", format!("column `{name}` is a conversation"))
                .help("use a model with a chat template, or data with plain strings"))
        }
    }
}

fn messages(turns: &Turns, role: &str) -> Vec<Message> {
    match turns {
        Turns::Chat(messages) => messages.clone(),
        Turns::Text(text) => vec![Message { role: role.into(), content: text.clone() }],
    }
}
