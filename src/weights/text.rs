//! The text tower of a CLIP or a SigLIP, as transformers saves it: in one file with the vision tower, with `config.json` and
//! `tokenizer.json` beside it.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::check::{dims, divides, layers};
use super::family::TextFamily;
use super::load::text_store;
use super::source::{CONFIG_FILE, ENCODER_FLAG, TOKENIZER_FILE};
use super::tokens::Tokens;
use super::transformers::activation;
use super::{Family, Store, WeightsError, WeightsSource};
use crate::model::cause;
use crate::model::text::{TOKEN_TABLE, TextConfig, TextKind, TextTower, unit};

/// What turns texts into vectors that can be compared with a CLIP's or a SigLIP's image features.
pub struct TextEncoder {
    store: Store,
    config: TextConfig,
    tokens: Tokens,
    end: EndToken,
}

/// Which token CLIP's feature is made of, as `config.json` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndToken {
    /// The first one with the largest number: the settings of OpenAI's CLIPs name 2, which is not their end.
    Largest,
    /// The first one with this number.
    Number(u32),
}

/// The settings of a text tower, by transformers' names.
#[derive(Debug, Deserialize)]
struct TextSettings {
    hidden_act: Option<String>,
    num_attention_heads: Option<usize>,
    layer_norm_eps: Option<f64>,
    eos_token_id: Option<u32>,
}

#[derive(Debug, Deserialize)]
struct WholeSettings {
    model_type: Option<String>,
    text_config: Option<TextSettings>,
}

impl TextEncoder {
    /// Maps the file of a model, and reads its tokenizer and its settings.
    ///
    /// # Errors
    /// If the family has no text tower (DINOv2), or the file lacks one or has another, or `config.json` or `tokenizer.json` is
    /// not beside it; if the model is not here and cannot be downloaded.
    pub fn load(
        family: &'static Family,
        source: &WeightsSource,
        offline: bool,
    ) -> Result<Self, WeightsError> {
        let Some(text) = &family.text else {
            return Err(WeightsError::Unclear {
                origin: format!("--encoder {family}"),
                cause:
                    "has no text tower, so its features cannot be searched by words; embed the videos with \
                        `lift embed --encoder clip` or `siglip` and search those"
                        .into(),
            });
        };
        let (store, file) = text_store(family, source, offline)?;
        let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
        if store.shape(TOKEN_TABLE).is_none() {
            return Err(unclear(format!(
                "has no text tower ({TOKEN_TABLE} is missing): `lift weights convert` and `lift weights pull --to` keep the \
                 vision tower alone; pass the whole model, as transformers saves it with {CONFIG_FILE} and {TOKENIZER_FILE}, with \
                 {ENCODER_FLAG}"
            )));
        }
        let settings = settings(text, &store, &file)?;
        let config = config(text, &store, &settings)?;
        let end = match settings.eos_token_id {
            Some(2) => EndToken::Largest,
            number => EndToken::Number(number.unwrap_or(49407)),
        };
        let bytes = beside(&store, &file, TOKENIZER_FILE, "what makes tokens of words")?;
        let tokens = Tokens::read(&bytes, text.kind, config.positions);
        let tokens = tokens.map_err(|cause| unclear(format!("the {TOKENIZER_FILE} beside it {cause}")))?;
        Ok(Self { store, config, tokens, end })
    }

    /// The file's tensors as they are.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Width `D` of a vector: the network's output.
    pub fn output(&self) -> usize {
        self.config.output
    }

    /// The tokens of a text as the network gets them: cut to the model's number and, for SigLIP, filled up to it.
    ///
    /// # Errors
    /// If the tokenizer fails.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, WeightsError> {
        self.tokens.of(text).map_err(|cause| self.unclear(format!("its {TOKENIZER_FILE} fails: {cause}")))
    }

    /// The features of texts as transformers' `get_text_features` gives them, each scaled to length 1: row-major f32 `(B, D)`.
    /// One text is one pass, so that a vector does not depend on the other texts.
    ///
    /// # Errors
    /// If the tokenizer fails, or names a token that the network does not have; if a feature is not finite.
    pub fn encode(&self, texts: &[&str]) -> Result<Vec<f32>, WeightsError> {
        let texts = texts.iter().map(|text| self.tokens(text)).collect::<Result<Vec<_>, _>>()?;
        let used: BTreeSet<u32> = texts.iter().flatten().copied().collect();
        let tower = self.tower(&used)?;
        let row: HashMap<u32, u32> = used.iter().copied().zip(0..).collect();
        let mut all = Vec::with_capacity(texts.len() * self.output());
        for tokens in &texts {
            let end = self.end_of(tokens)?;
            let rows: Vec<u32> = tokens.iter().map(|token| row[token]).collect();
            let vector = tower.forward(&rows, end).and_then(|feature| unit(&feature));
            let vector = vector.map_err(|e| self.unclear(format!("its text tower fails: {}", cause(&e))))?;
            if !vector.iter().all(|value| value.is_finite()) {
                return Err(self.unclear(
                    "a text's feature is not finite; `lift weights verify` checks the numbers".into(),
                ));
            }
            all.extend(vector);
        }
        Ok(all)
    }

    /// The network with the rows of the table that are used: SigLIP 2's has 256,000 rows, 0.8 GB.
    fn tower(&self, used: &BTreeSet<u32>) -> Result<TextTower, WeightsError> {
        let config = TextConfig { vocabulary: used.len(), ..self.config.clone() };
        let mut tensors = HashMap::new();
        for (name, _) in config.tensors().into_iter().filter(|(name, _)| name != TOKEN_TABLE) {
            let tensor = self.store.tensor(&name, &Device::Cpu)?;
            tensors.insert(name, tensor);
        }
        let (all, d) = (self.store.f32(TOKEN_TABLE)?, self.config.width);
        let mut rows = Vec::with_capacity(used.len() * d);
        for &token in used {
            let row = all.chunks_exact(d).nth(token as usize).ok_or_else(|| {
                let most = self.config.vocabulary;
                self.unclear(format!(
                    "its {TOKENIZER_FILE} has a token {token}, the network {most}; bring the model's own"
                ))
            })?;
            rows.extend_from_slice(row);
        }
        let fails =
            |e: candle_core::Error| self.unclear(format!("its text tower cannot be used: {}", cause(&e)));
        tensors.insert(
            TOKEN_TABLE.into(),
            Tensor::from_vec(rows, (used.len(), d), &Device::Cpu).map_err(fails)?,
        );
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        TextTower::load(&config, &weights).map_err(fails)
    }

    /// Which token CLIP's feature is made of. SigLIP's is made of the last.
    fn end_of(&self, tokens: &[u32]) -> Result<usize, WeightsError> {
        if self.config.kind == TextKind::Siglip {
            return Ok(tokens.len() - 1);
        }
        let number = match self.end {
            EndToken::Largest => tokens.iter().max().copied().unwrap_or_default(),
            EndToken::Number(number) => number,
        };
        tokens.iter().position(|&token| token == number).ok_or_else(|| {
            self.unclear(format!(
                "its {CONFIG_FILE} says that texts end with token {number}, its {TOKENIZER_FILE} ends them with another; bring both \
                 files of the same model"
            ))
        })
    }

    fn unclear(&self, cause: String) -> WeightsError {
        WeightsError::Unclear { origin: self.store.origin().into(), cause }
    }
}

/// The bytes of a file beside the weights.
fn beside(store: &Store, file: &Path, name: &str, what: &str) -> Result<Vec<u8>, WeightsError> {
    std::fs::read(file.with_file_name(name)).map_err(|cause| WeightsError::Unclear {
        origin: store.origin().into(),
        cause: format!("{what} stands in the model's {name}, which is not beside it ({cause}): put it there"),
    })
}

fn settings(text: &TextFamily, store: &Store, file: &Path) -> Result<TextSettings, WeightsError> {
    let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
    let bytes = beside(store, file, CONFIG_FILE, "the number of its text tower's attention heads")?;
    let whole: WholeSettings = serde_json::from_slice(&bytes)
        .map_err(|e| unclear(format!("the {CONFIG_FILE} beside it is no model's settings: {e}")))?;
    if let Some(told) = whole.model_type.filter(|told| told != text.model_type) {
        return Err(unclear(format!(
            "the {CONFIG_FILE} beside it is that of a model of type {told}, not {}",
            text.model_type
        )));
    }
    let none = || {
        unclear(format!("the {CONFIG_FILE} beside it has no text_config; bring the one of the whole model"))
    };
    whole.text_config.ok_or_else(none)
}

/// The tower's shape, its names and shapes checked.
fn config(text: &TextFamily, store: &Store, settings: &TextSettings) -> Result<TextConfig, WeightsError> {
    let (model, flag) = (text.model, ENCODER_FLAG);
    let [vocabulary, width] = dims(store, TOKEN_TABLE, model, flag)?;
    let [positions, _] = dims(store, "text_model.embeddings.position_embedding.weight", model, flag)?;
    let [hidden, _] = dims(store, "text_model.encoder.layers.0.mlp.fc1.weight", model, flag)?;
    let output = match text.kind {
        TextKind::Clip => dims::<2>(store, "text_projection.weight", model, flag)?[0],
        // candle-transformers knows no other; transformers gives it to models for larger pictures alone.
        TextKind::Siglip => width,
    };
    let unclear = |cause: String| WeightsError::Unclear { origin: store.origin().into(), cause };
    let named = settings.hidden_act.as_deref().map(activation).transpose().map_err(unclear)?;
    let config = TextConfig {
        kind: text.kind,
        vocabulary,
        positions,
        width,
        output,
        depth: layers(store, "text_model.encoder.layers."),
        heads: settings.num_attention_heads.unwrap_or(text.heads),
        hidden,
        activation: named.unwrap_or(text.activation),
        norm_eps: settings.layer_norm_eps.unwrap_or(text.norm_eps),
    };
    divides(store, config.heads, width, "check text_config.num_attention_heads in its config.json")?;
    let ours = |name: &str| name.starts_with("text_model.") && !name.ends_with(".position_ids");
    store.check(&config.tensors(), ours, model, flag)?;
    Ok(config)
}
