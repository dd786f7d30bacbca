//! Chat templates: Jinja programs that come with a model and write a conversation as text.

use minijinja::{Environment, ErrorKind, context, syntax::SyntaxConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::{Error, Result};

/// Steps after which a template is stopped: it comes with the model and may not end.
const FUEL: u64 = 5_000_000;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`, as the template knows it.
    pub role: String,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A turn of a role.
    #[must_use]
    pub fn new(role: &str, content: &str) -> Self {
        Self { role: role.to_owned(), content: content.to_owned() }
    }
}

/// Special tokens that templates write.
pub(super) struct Specials {
    pub(super) bos: Option<String>,
    pub(super) eos: Option<String>,
}

/// The template in a `tokenizer_config.json`: a text, or the one named `default` of a list.
pub(super) fn template_of(config: &Value) -> Option<String> {
    match config.get("chat_template")? {
        Value::String(template) => Some(template.clone()),
        Value::Array(named) => named
            .iter()
            .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
            .and_then(|entry| entry.get("template")?.as_str())
            .map(str::to_owned),
        _ => None,
    }
}

pub(super) fn render(
    template: &str,
    messages: &[Message],
    add_generation_prompt: bool,
    specials: &Specials,
) -> Result<String> {
    let failed = |e: minijinja::Error| Error::Tokenizer(format!("chat template: {e}"));
    let mut environment = Environment::new();
    // As the Python library that templates are written for sets them.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(failed)?);
    environment.set_fuel(Some(FUEL));
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", |message: String| -> Result<String, _> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    let template = environment.template_from_str(template).map_err(failed)?;
    let messages: Vec<minijinja::Value> = messages
        .iter()
        .map(|m| context! { role => m.role.as_str(), content => m.content.as_str() })
        .collect();
    let text = |token: &Option<String>| token.clone().unwrap_or_default();
    template
        .render(context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            bos_token => text(&specials.bos),
            eos_token => text(&specials.eos),
        })
        .map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages() -> Vec<Message> {
        vec![Message::new("user", " Hi "), Message::new("assistant", "Hello.")]
    }

    fn rendered(template: &str) -> Result<String> {
        let specials = Specials { bos: Some("<s>".into()), eos: None };
        render(template, &messages(), true, &specials)
    }

    #[test]
    fn loops_methods_and_special_tokens() {
        let template = "{{ bos_token }}{% for m in messages %}\n{% if loop.first %}[\
            {% endif %}{{ m['role'] + ':' + m.content.strip() }}|{% endfor %}\n\
            {% if add_generation_prompt %}assistant:{% endif %}{{ eos_token }}";
        assert_eq!(rendered(template).unwrap(), "<s>[user:Hi|assistant:Hello.|assistant:");
    }

    #[test]
    fn a_template_that_refuses_fails_or_never_ends_is_an_error() {
        let refused = rendered("{{ raise_exception('system role not supported') }}").unwrap_err();
        assert!(refused.to_string().contains("system role not supported"), "{refused}");
        assert!(rendered("{% for %}").is_err());
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
        assert!(rendered(endless).is_err());
    }

    #[test]
    fn a_list_of_templates_gives_the_default_one() {
        let config = serde_json::json!({"chat_template": [
            {"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"},
        ]});
        assert_eq!(template_of(&config).as_deref(), Some("d"));
        assert_eq!(template_of(&serde_json::json!({})), None);
    }
}
