//! The topics: what the words of a report mean, beside the probes.

use serde::{Deserialize, Serialize};

use super::CatalogError;

/// The file, and its name in errors.
const FILE: (&str, &str) = ("topics.toml", include_str!("topics.toml"));

/// What a topic is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopicKind {
    /// What holds a program back.
    Verdict,
    /// The first level of the classification.
    Tag,
    /// The second level of the classification.
    Cause,
    /// Something that stands out.
    Finding,
    /// A concurrency model that is recommended.
    Model,
    /// Anything else that a report speaks of.
    Term,
}

impl TopicKind {
    /// All kinds, in the order in which a reference has them.
    pub const ALL: [Self; 6] =
        [Self::Verdict, Self::Tag, Self::Cause, Self::Finding, Self::Model, Self::Term];

    /// The stable name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verdict => "verdict",
            Self::Tag => "tag",
            Self::Cause => "cause",
            Self::Finding => "finding",
            Self::Model => "model",
            Self::Term => "term",
        }
    }
}

/// A word of a report, explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// What it is about.
    pub kind: TopicKind,
    /// The stable name that reports use; unique among topics of its kind.
    pub id: String,
    /// What it says, in a few words.
    pub title: String,
    /// What it means.
    pub means: String,
    /// The likely reading.
    pub may_be: Option<String>,
    /// The innocent reading: a number alone does not tell which of the two it is.
    pub or_else: Option<String>,
    /// What to do.
    #[serde(rename = "do")]
    pub action: Option<String>,
    /// Where to look next.
    pub look: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    topic: Vec<Topic>,
}

/// All topics, in the order of their file.
///
/// # Errors
/// When the built-in file is malformed, which a test rules out.
pub fn topics() -> Result<Vec<Topic>, CatalogError> {
    let (name, text) = FILE;
    let file: Result<File, toml::de::Error> = toml::from_str(text);
    file.map(|file| file.topic)
        .map_err(|error| CatalogError::new(name, None, error.message().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{TopicKind, topics};
    use crate::model::{Cause, Tag};

    #[test]
    fn every_tag_and_cause_is_explained() {
        let topics = topics().unwrap();
        let ids = |kind| {
            let known = topics.iter().filter(move |topic| topic.kind == kind);
            known.map(|topic| topic.id.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(ids(TopicKind::Tag), Tag::ALL.map(Tag::name));
        assert_eq!(ids(TopicKind::Cause), Cause::ALL.map(Cause::name));
    }

    #[test]
    fn a_topic_is_told_once_and_says_something() {
        let topics = topics().unwrap();
        let mut keys: Vec<_> = topics.iter().map(|topic| (topic.kind, &topic.id)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), topics.len());
        for topic in &topics {
            let parts = [&topic.may_be, &topic.or_else, &topic.action, &topic.look];
            let mut texts = vec![&topic.title, &topic.means];
            texts.extend(parts.into_iter().flatten());
            assert!(texts.iter().all(|text| !text.trim().is_empty()), "{}", topic.id);
            if matches!(topic.kind, TopicKind::Finding | TopicKind::Verdict) {
                assert_eq!(texts.len(), 6, "{}", topic.id);
            }
        }
    }

    #[test]
    fn names_are_those_that_serde_writes() {
        for kind in TopicKind::ALL {
            assert_eq!(serde_json::json!(kind), kind.name());
        }
    }
}
