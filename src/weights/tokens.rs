//! Words into tokens, as transformers' tokenizers of CLIP, SigLIP and SigLIP 2 do.
//!
//! A `tokenizer.json` names the vocabulary and the steps. Tools that convert SigLIP's differ in the steps before the vocabulary,
//! so those are set here, after transformers' `SiglipTokenizer` and `Siglip2Tokenizer`. The tokens that begin, end and fill up a
//! text are put here too.

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use crate::guard::catch_panic;
use crate::model::text::TextKind;

/// A tokenizer, for texts of at most `most` tokens.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    /// What stands before the words.
    before: Vec<u32>,
    /// What stands after them.
    end: u32,
    /// What fills a text up to `most` tokens, if it is filled.
    fill: Option<u32>,
    most: usize,
    /// What a text begins with before it is read: the mark of a space, which SigLIP's vocabulary has before words.
    prefix: &'static str,
}

impl Tokens {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    /// In words without the path, if it is none, or lacks a token that this family's texts have.
    pub(super) fn read(json: &[u8], kind: TextKind, most: usize) -> Result<Self, String> {
        let mut all: Value = serde_json::from_slice(json).map_err(|e| format!("is no tokenizer: {e}"))?;
        if !all.is_object() {
            return Err("is no tokenizer: no object".into());
        }
        let model = all["model"]["type"].as_str().unwrap_or_default().to_string();
        let (before, end, fill, prefix) = match (kind, model.as_str()) {
            (TextKind::Clip, _) => (Some("<|startoftext|>"), "<|endoftext|>", None, ""),
            (TextKind::Siglip, "Unigram") => {
                let charsmap = precompiled(&all["normalizer"]).cloned();
                all["normalizer"] = siglip_normalizer(charsmap);
                all["pre_tokenizer"] = Value::Null;
                (None, "</s>", Some("</s>"), "▁")
            }
            (TextKind::Siglip, _) => {
                let steps = [json!({"type": "Lowercase"}), all["normalizer"].take()];
                let steps: Vec<Value> = steps.into_iter().filter(|step| !step.is_null()).collect();
                all["normalizer"] = json!({"type": "Sequence", "normalizers": steps});
                (None, "<eos>", Some("<pad>"), "")
            }
        };
        for step in ["post_processor", "truncation", "padding"] {
            all[step] = Value::Null;
        }
        // A vocabulary from outside must not end the program.
        let tokenizer = catch_panic(|| serde_json::from_value::<Tokenizer>(all));
        let tokenizer = tokenizer.ok_or("is no tokenizer: it cannot be taken in")?;
        let tokenizer = tokenizer.map_err(|e| format!("is no tokenizer: {e}"))?;
        let token = |name: &str| tokenizer.token_to_id(name).ok_or_else(|| format!("has no token {name}"));
        let before = before.map(token).transpose()?.into_iter().collect();
        let (end, fill) = (token(end)?, fill.map(token).transpose()?);
        Ok(Self { tokenizer, before, end, fill, most, prefix })
    }

    /// The tokens of a text: cut, and filled up, to the model's number.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub(super) fn of(&self, text: &str) -> Result<Vec<u32>, String> {
        let text = match self.prefix {
            "" => text.to_string(),
            // The mark itself is read as the space that it stands for.
            mark => format!("{mark}{}", text.replace(mark, " ")),
        };
        let encoded = catch_panic(|| self.tokenizer.encode_fast(text, false));
        let encoded = encoded.ok_or("it stopped")?.map_err(|e| e.to_string())?;
        let mut tokens = self.before.clone();
        tokens.extend(encoded.get_ids().iter().take(self.most.saturating_sub(tokens.len() + 1)));
        tokens.push(self.end);
        if let Some(fill) = self.fill {
            tokens.resize(self.most, fill);
        }
        Ok(tokens)
    }
}

/// The characters' map of a vocabulary of sentencepiece, somewhere in the steps before it.
fn precompiled(step: &Value) -> Option<&Value> {
    match step["type"].as_str() {
        Some("Precompiled") => Some(step),
        _ => step["normalizers"].as_array()?.iter().find_map(precompiled),
    }
}

/// SigLIP's steps: lower case, no ASCII punctuation, single spaces and none around; then sentencepiece's.
fn siglip_normalizer(charsmap: Option<Value>) -> Value {
    let replace =
        |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
    let regex = |pattern: &str, content: &str| replace(json!({"Regex": pattern}), content);
    let mut steps = vec![
        // The only letter whose lower case depends on its place, in Python too.
        regex(r"(?<=\p{L})Σ(?!\p{L})", "ς"),
        json!({"type": "Lowercase"}),
        regex(r"[!-/:-@\[-`{-~]", ""),
        // Python counts four control characters as spaces.
        regex(r"[\s\x1c-\x1f]+", " "),
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
    ];
    steps.extend(charsmap);
    steps.push(regex("[ ▁]+$", ""));
    steps.push(replace(json!({"String": " "}), "▁"));
    json!({"type": "Sequence", "normalizers": steps})
}
