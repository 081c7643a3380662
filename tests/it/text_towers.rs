//! The text towers of CLIP and SigLIP: held against transformers' tokens and features, and against candle-transformers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, IndexOp, Module, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::{Activation, ClipTextConfig, ClipTextTransformer};
use lift::embed::word_vectors;
use lift::rows::ModelDigest;
use lift::weights::{Family, TextEncoder, WeightsSource};

use crate::common::{close, data, numbers, tensors};
use crate::env::TestEnv;

/// How far two features of length 1 may be apart.
const TOLERANCE: f32 = 1e-4;

/// The folders of small models, with their families.
const MODELS: [(&str, &str); 3] = [("clip", "clip"), ("siglip", "siglip"), ("siglip2", "siglip")];

fn folder(name: &str) -> PathBuf {
    data(&format!("text/{name}"))
}

fn family(name: &str) -> &'static Family {
    Family::named(name).unwrap()
}

fn load(family_name: &str, folder: PathBuf) -> TextEncoder {
    TextEncoder::load(family(family_name), &WeightsSource::File(folder), true).unwrap()
}

fn json<T: serde::de::DeserializeOwned>(path: PathBuf) -> T {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn texts() -> Vec<String> {
    json(data("text/texts.json"))
}

/// The rows of a golden, each scaled to length 1.
fn golden(name: &str, key: &str) -> (Vec<f32>, usize) {
    let rows = &tensors(folder(name).join("features.safetensors"))[key];
    let length = rows.sqr().unwrap().sum_keepdim(1).unwrap().sqrt().unwrap();
    (numbers(&rows.broadcast_div(&length).unwrap()), rows.dim(0).unwrap())
}

#[test]
fn tokens_of_two_hundred_texts_are_those_of_transformers() {
    let texts = texts();
    assert_eq!(texts.len(), 200);
    for (name, family) in MODELS {
        let encoder = load(family, folder(name));
        let expected: Vec<Vec<u32>> = json(folder(name).join("tokens.json"));
        let mut wrong = Vec::new();
        for (text, expected) in texts.iter().zip(&expected) {
            let mut tokens = encoder.tokens(text).unwrap();
            if family == "siglip" {
                assert_eq!(tokens.len(), 64, "{name}: {text:?}");
                let fill = if name == "siglip" { 1 } else { 0 };
                assert!(
                    tokens[expected.len()..].iter().all(|&token| token == fill),
                    "{name}: {text:?}: {tokens:?}"
                );
                tokens.truncate(expected.len());
            }
            if tokens != *expected {
                wrong.push(format!("{text:?}: {tokens:?}, not {expected:?}"));
            }
        }
        assert!(wrong.is_empty(), "{name}: {} differ:\n{}", wrong.len(), wrong.join("\n"));
        assert!(expected.iter().any(|tokens| tokens.len() > 60), "{name}: no text is cut");
    }
}

#[test]
fn features_are_those_of_transformers_and_have_length_one() {
    let texts = texts();
    for (name, family) in MODELS {
        let (expected, count) = golden(name, "features");
        let texts: Vec<&str> = texts[..count].iter().map(String::as_str).collect();
        let encoder = load(family, folder(name));
        let features = encoder.encode(&texts).unwrap();
        close(name, &features, &expected, TOLERANCE);
        for row in features.chunks(encoder.output()) {
            let length: f64 = row.iter().map(|&v| f64::from(v).powi(2)).sum();
            assert!((length - 1.0).abs() < 1e-5, "{name}: {length}");
        }
        // A vector does not depend on the other texts.
        let alone = encoder.encode(&texts[3..4]).unwrap();
        assert_eq!(alone, features[3 * encoder.output()..4 * encoder.output()]);
    }
}

#[test]
fn a_clip_with_the_exact_gelu_and_its_end_by_number_is_computed_so() {
    let env = TestEnv::new();
    for file in ["model.safetensors", "tokenizer.json"] {
        env.write(&format!("gelu/{file}"), &std::fs::read(folder("clip").join(file)).unwrap());
    }
    let mut config: serde_json::Value = json(folder("clip").join("config.json"));
    config["text_config"]["hidden_act"] = "gelu".into();
    let set = |config: &serde_json::Value| env.write("gelu/config.json", config.to_string().as_bytes());
    let whole = env.path("gelu");
    let encoder = || load("clip", whole.clone());
    config["text_config"]["eos_token_id"] = 996.into();
    set(&config);
    let (expected, count) = golden("clip", "features_gelu");
    let texts = texts();
    let texts: Vec<&str> = texts[..count].iter().map(String::as_str).collect();
    close("clip with gelu", &encoder().encode(&texts).unwrap(), &expected, TOLERANCE);
    let (other, _) = golden("clip", "features");
    let apart = other.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(apart > 10.0 * TOLERANCE, "the two activations differ by {apart}");
    config["text_config"]["eos_token_id"] = 7.into();
    set(&config);
    let error = encoder().encode(&["a cat"]).unwrap_err().to_string();
    assert!(error.contains("texts end with token 7") && error.contains("bring both files"), "{error}");
}

#[test]
fn our_clip_agrees_with_candle_transformers() {
    let encoder = load("clip", folder("clip"));
    let all = tensors(folder("clip").join("model.safetensors"));
    let all = all.into_iter().map(|(name, t)| (name, t.to_dtype(DType::F32).unwrap())).collect();
    let weights = VarBuilder::from_tensors(all, DType::F32, &Device::Cpu);
    let config = ClipTextConfig {
        vocab_size: 997,
        embed_dim: 24,
        activation: Activation::QuickGelu,
        intermediate_size: 48,
        max_position_embeddings: 77,
        pad_with: None,
        num_hidden_layers: 2,
        num_attention_heads: 3,
        projection_dim: 32,
    };
    let tower = ClipTextTransformer::new(weights.pp("text_model"), &config).unwrap();
    let projection = candle_nn::linear_no_bias(24, 32, weights.pp("text_projection")).unwrap();
    for text in ["a person opens the door", "человек", "x"] {
        let ids =
            Tensor::new(&encoder.tokens(text).unwrap()[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let theirs = projection.forward(&tower.forward(&ids).unwrap()).unwrap().i(0).unwrap();
        let theirs = lift::model::text::unit(&theirs).unwrap();
        close(text, &encoder.encode(&[text]).unwrap(), &theirs, TOLERANCE);
    }
}

/// What is said where a model is refused.
fn refused(name: &str, source: &WeightsSource) -> String {
    match TextEncoder::load(family(name), source, true) {
        Ok(_) => panic!("{source:?} is taken as a {name}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_model_without_texts_is_refused_in_words_that_fit() {
    let refusal = |name: &str, source: PathBuf| refused(name, &WeightsSource::File(source));
    let text = refusal("dinov2", data("golden/dinov2_tiny_random.safetensors"));
    assert!(text.contains("has no text tower") && text.contains("--encoder clip"), "{text}");
    let text = refusal("siglip", data("encoders/siglip"));
    assert!(text.contains("has no text tower") && text.contains("pass the whole model"), "{text}");
    let text = refusal("siglip", folder("clip"));
    assert!(text.contains("of type clip, not siglip"), "{text}");

    let absent = "nobody/has-this".parse().unwrap();
    let text = refused("clip", &absent);
    assert!(
        text.contains("tokenizer.json of nobody/has-this") && text.contains("--encoder-weights FOLDER"),
        "{text}"
    );

    let env = TestEnv::new();
    env.write("alone/model.safetensors", &std::fs::read(folder("clip").join("model.safetensors")).unwrap());
    let alone = || env.path("alone");
    let text = refusal("clip", alone());
    assert!(text.contains("config.json") && text.contains("put it there"), "{text}");
    let config = std::fs::read(folder("clip").join("config.json")).unwrap();
    for (bytes, said) in [
        (&b"{"[..], "no model's settings"),
        (br#"{"model_type": "clip"}"#, "no text_config"),
        (br#"{"text_config": {"num_attention_heads": 5}}"#, "5 heads do not divide the width 24"),
        (br#"{"text_config": {"hidden_act": "swish", "num_attention_heads": 3}}"#, "swish"),
        (&config, "tokenizer.json, which is not beside it"),
    ] {
        env.write("alone/config.json", bytes);
        let text = refusal("clip", alone());
        assert!(text.contains(said), "{text}");
    }
    for bytes in [&b""[..], b"{}", b"[]", br#"{"model": {"type": "BPE"}}"#] {
        env.write("alone/tokenizer.json", bytes);
        let text = refusal("clip", alone());
        assert!(text.contains("the tokenizer.json beside it is no tokenizer"), "{text}");
    }
    let other = std::fs::read(folder("siglip2").join("tokenizer.json")).unwrap();
    env.write("alone/tokenizer.json", &other);
    let text = refusal("clip", alone());
    assert!(text.contains("has no token <|startoftext|>"), "{text}");
}

#[test]
fn words_take_the_model_that_a_manifest_records() {
    let file = folder("clip").join("model.safetensors");
    let encoder = load("clip", folder("clip"));
    let digest =
        ModelDigest { from: file.display().to_string(), sha256: encoder.store().digest(), settings: None };
    let models = BTreeMap::from([("clip".to_string(), digest)]);
    let words = word_vectors(&models, None, true, &["a cat", "a dog"]).unwrap();
    assert_eq!(words.vectors, encoder.encode(&["a cat", "a dog"]).unwrap());
    assert_eq!((words.width, words.same_file), (32, Some(true)));
    let named = Some((family("clip"), WeightsSource::File(folder("clip"))));
    let words = word_vectors(&BTreeMap::new(), named, true, &[]).unwrap();
    assert_eq!((words.vectors.len(), words.width, words.same_file), (0, 32, None));
}
