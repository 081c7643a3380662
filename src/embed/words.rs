//! Words as vectors, with the model whose image features a collection holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::rows::ModelDigest;
use crate::weights::{Family, TOKENIZER_FILE, TextEncoder, WeightsError, WeightsSource};

/// Texts as vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct WordVectors {
    /// One vector of length 1 a text, row-major f32 `(B, D)`.
    pub vectors: Vec<f32>,
    /// Their width `D`.
    pub width: usize,
    /// Whether the file of weights is the one that the collection was made with, byte for byte; none where the collection does not
    /// say. Another file can still hold the same model: `lift weights convert` and `pull --to` keep the vision tower alone.
    pub same_file: Option<bool>,
}

/// Texts as vectors that can be compared with the `frames` of a collection. `models` are those of its manifest, empty where it has
/// none; `named` is what the command line names (`--encoder`, `--encoder-weights`), which goes before the manifest's file.
///
/// # Errors
/// If nothing says which model it was, or the manifest and the command line say different things; as [`TextEncoder::load`] and
/// [`TextEncoder::encode`].
pub fn word_vectors(
    models: &BTreeMap<String, ModelDigest>,
    named: Option<(&'static Family, WeightsSource)>,
    offline: bool,
    texts: &[&str],
) -> Result<WordVectors, WeightsError> {
    let recorded = models.iter().find_map(|(name, model)| Some((Family::named(name)?, model)));
    let (family, source) = chosen(recorded, named)?;
    let encoder = TextEncoder::load(family, &source, offline)?;
    let same_file = recorded.map(|(_, model)| encoder.store().digest() == model.sha256);
    Ok(WordVectors { vectors: encoder.encode(texts)?, width: encoder.output(), same_file })
}

/// The model to read.
fn chosen(
    recorded: Option<(&'static Family, &ModelDigest)>,
    named: Option<(&'static Family, WeightsSource)>,
) -> Result<(&'static Family, WeightsSource), WeightsError> {
    match (recorded, named) {
        (None, None) => Err(WeightsError::Unclear {
            origin: "--text".into(),
            cause: "the collection does not say which model its features are of; name it with --encoder clip or siglip, and \
                    --encoder-weights if it is not the default one"
                .into(),
        }),
        (Some((family, _)), Some((other, _))) if family != other => Err(WeightsError::Unclear {
            origin: format!("--encoder {other}"),
            cause: format!("the collection's features are those of a {family}; leave --encoder out"),
        }),
        (_, Some(named)) => Ok(named),
        (Some((family, model)), None) => {
            let file = PathBuf::from(&model.from);
            // A file that came from the hub may lack its tokenizer, which only searches need: the hub is asked then.
            let whole = file.is_file() && file.with_file_name(TOKENIZER_FILE).is_file();
            let source = if whole { WeightsSource::File(file) } else { hub_or_published(model) };
            Ok((family, source))
        }
    }
}

/// The hub's repository that a file in the hub's cache is of (`models--OWNER--NAME/snapshots/COMMIT/FILE`), else the family's own.
fn hub_or_published(model: &ModelDigest) -> WeightsSource {
    let parts: Vec<&str> = model.from.rsplit('/').collect();
    let id = match parts[..] {
        [_, commit, "snapshots", repo, ..] => repo
            .strip_prefix("models--")
            .and_then(|repo| format!("{}@{commit}", repo.replacen("--", "/", 1)).parse().ok()),
        _ => None,
    };
    id.unwrap_or(WeightsSource::Published)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(from: &str) -> ModelDigest {
        ModelDigest { from: from.into(), sha256: "ab".repeat(32), settings: None }
    }

    fn family(name: &str) -> &'static Family {
        Family::named(name).unwrap()
    }

    #[test]
    fn the_model_is_the_collections_unless_the_command_line_names_it() {
        let recorded = model("/none/models--a--b/snapshots/0123/model.safetensors");
        let clip = Some((family("clip"), &recorded));
        assert_eq!(chosen(clip, None).unwrap().1, "a/b@0123".parse().unwrap());
        let copied = model("/none/lift/clip.safetensors");
        assert_eq!(chosen(Some((family("clip"), &copied)), None).unwrap().1, WeightsSource::Published);
        let file = WeightsSource::File("x".into());
        assert_eq!(chosen(clip, Some((family("clip"), file.clone()))).unwrap().1, file);
        assert_eq!(chosen(None, Some((family("siglip"), file.clone()))).unwrap().0, family("siglip"));
        let said = chosen(clip, Some((family("siglip"), file))).unwrap_err().to_string();
        assert!(said.contains("are those of a clip; leave --encoder out"), "{said}");
        let said = chosen(None, None).unwrap_err().to_string();
        assert!(said.contains("name it with --encoder clip or siglip"), "{said}");
    }
}
