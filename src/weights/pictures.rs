//! What a model's files say about its pictures: `preprocessor_config.json` of transformers, `config.json` of timm.
//!
//! Either stands beside the weights, or in a safetensors file's metadata under its name without `.json`, where [`super::copy_to`]
//! and [`super::convert`] put it. What is asked for and not supported is refused by name: pictures that are nearly right give
//! features that are wrong, and nobody would see it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::source::CONFIG_FILE;
use super::{Store, WeightsError};
use crate::model::{IMAGENET, Pictures};
use crate::video::transform::{Centre, Filter, Framing, Resize};

/// The settings' file of transformers' image processors.
pub(super) const PREPROCESSOR_FILE: &str = "preprocessor_config.json";

/// Of CLIP's own training pictures.
pub(super) const CLIP_STATISTICS: ([f32; 3], [f32; 3]) =
    ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]);

/// The largest side of a square, in pixels: a patch of 14 or 16 makes 65,536 tokens of it.
const LARGEST: u64 = 4096;

/// What a file says.
pub(super) struct ToldPictures {
    /// The pictures.
    pub(super) pictures: Pictures,
    /// The settings as the file has them, in JSON.
    pub(super) text: String,
    /// The metadata's key for them.
    pub(super) key: &'static str,
}

/// A way to write down how pictures are made.
pub(super) struct SettingsForm {
    /// The file beside the weights.
    pub(super) file: &'static str,
    /// The metadata's key.
    key: &'static str,
    /// The pictures that the settings ask for; none where the file is about other things.
    read: fn(&Value) -> Result<Option<Pictures>, String>,
}

/// transformers' `preprocessor_config.json`.
pub(super) static OF_TRANSFORMERS: SettingsForm = SettingsForm {
    file: PREPROCESSOR_FILE,
    key: "preprocessor_config",
    read: |value| of_transformers(value).map(Some),
};

/// timm's `config.json`.
pub(super) static OF_TIMM: SettingsForm = SettingsForm { file: CONFIG_FILE, key: "config", read: of_timm };

/// The pictures that the first of `forms` asks for, in the metadata of `store` or beside its `file`; none where no form is there.
///
/// # Errors
/// If settings cannot be read, or ask for what is not supported.
pub(super) fn told(
    store: &Store,
    file: &Path,
    forms: &[&SettingsForm],
) -> Result<Option<ToldPictures>, WeightsError> {
    for form in forms {
        let (text, place) = match store.metadata().get(form.key) {
            Some(text) => (text.clone(), format!("its metadata's {}", form.key)),
            // Bundled bytes have no place.
            None if file.as_os_str().is_empty() => continue,
            None => match std::fs::read_to_string(file.with_file_name(form.file)) {
                Ok(text) => (text, format!("the {} beside it", form.file)),
                Err(_) => continue,
            },
        };
        let unclear = |cause: String| WeightsError::Unclear {
            origin: store.origin().into(),
            cause: format!("{place} {cause}"),
        };
        let value: Value = serde_json::from_str(&text)
            .map_err(|e| unclear(format!("does not say how pictures are made: {e}")))?;
        if let Some(pictures) = (form.read)(&value).map_err(unclear)? {
            tracing::info!("{}: {place} asks for pictures with {pictures}", store.origin());
            return Ok(Some(ToldPictures { pictures, text: value.to_string(), key: form.key }));
        }
    }
    Ok(None)
}

/// The tensors with a family's usual pictures in the metadata, in transformers' form, unless the metadata says how pictures are made.
pub(super) fn with_usual(store: Store, usual: &Pictures) -> Store {
    if store.metadata().contains_key(OF_TRANSFORMERS.key) {
        return store;
    }
    let Pictures { framing: Framing { resize, side, filter, .. }, mean, std } = usual;
    let size = match resize {
        Resize::Shorter(short) => json!({"shortest_edge": short}),
        Resize::Both(both) => json!({"height": both, "width": both}),
    };
    let settings = json!({
        "size": size,
        "do_center_crop": true,
        "crop_size": {"height": side, "width": side},
        "resample": match filter { Filter::Bilinear => 2, Filter::Bicubic => 3 },
        "image_mean": mean,
        "image_std": std,
    });
    store.with_metadata(OF_TRANSFORMERS.key, settings.to_string())
}

/// What an image processor of transformers does where its settings leave it open.
struct Processor {
    /// transformers' class, without the suffix of its variants.
    class: &'static str,
    /// The shorter side is resized, not both.
    shorter: bool,
    crop: bool,
    filter: Filter,
    statistics: ([f32; 3], [f32; 3]),
}

const HALVES: ([f32; 3], [f32; 3]) = ([0.5; 3], [0.5; 3]);

/// The image processors that are known here.
const PROCESSORS: [Processor; 5] = [
    Processor {
        class: "CLIPImageProcessor",
        shorter: true,
        crop: true,
        filter: Filter::Bicubic,
        statistics: CLIP_STATISTICS,
    },
    Processor {
        class: "BitImageProcessor",
        shorter: true,
        crop: true,
        filter: Filter::Bicubic,
        statistics: CLIP_STATISTICS,
    },
    Processor {
        class: "SiglipImageProcessor",
        shorter: false,
        crop: false,
        filter: Filter::Bicubic,
        statistics: HALVES,
    },
    Processor {
        class: "ViTImageProcessor",
        shorter: false,
        crop: false,
        filter: Filter::Bilinear,
        statistics: HALVES,
    },
    Processor {
        class: "DINOv3ViTImageProcessor",
        shorter: false,
        crop: false,
        filter: Filter::Bilinear,
        statistics: IMAGENET,
    },
];

/// The side of all of these where the settings name none.
const USUAL_SIDE: usize = 224;

fn of_transformers(value: &Value) -> Result<Pictures, String> {
    let settings = Settings::new(value)?;
    let class =
        ["image_processor_type", "feature_extractor_type"].into_iter().find_map(|key| settings.text(key));
    let known = class.map(processor).transpose()?;
    settings.refuse_other_steps()?;
    if !settings.flag("do_resize", true)? {
        return Err("has do_resize off; videos have any size, so pictures must be resized".into());
    }
    settings.is_255th()?;
    let side = match (settings.get("size"), known) {
        (None, Some(known)) if known.shorter => Resize::Shorter(USUAL_SIDE),
        (None, Some(_)) => Resize::Both(USUAL_SIDE),
        (None, None) => return Err("has neither size nor a known image_processor_type".into()),
        (Some(size), _) => resize(size, known)?,
    };
    let crop =
        settings.flag("do_center_crop", known.map_or(settings.get("crop_size").is_some(), |p| p.crop))?;
    let cropped = match (crop, settings.get("crop_size")) {
        (false, _) => None,
        (true, None) => Some(USUAL_SIDE),
        (true, Some(size)) => {
            Some(square(size).ok_or_else(|| format!("has crop_size {size}, which is no square"))?)
        }
    };
    let filter = match (settings.get("resample"), known) {
        (None, Some(known)) => known.filter,
        (None, None) => return Err("has neither resample nor a known image_processor_type".into()),
        (Some(number), _) => resample(number)?,
    };
    let (mean, std) = if settings.flag("do_normalize", true)? {
        let default = known.map(|known| known.statistics);
        (
            settings.colours("image_mean", default.map(|d| d.0))?,
            settings.colours("image_std", default.map(|d| d.1))?,
        )
    } else {
        ([0.0; 3], [1.0; 3])
    };
    pictures(side, cropped, filter, Centre::Down, mean, std)
}

/// The processor of that name. Its variants for torch and for Pillow have a suffix, its older versions another ending.
fn processor(class: &str) -> Result<&'static Processor, String> {
    let plain = class.strip_suffix("Fast").or_else(|| class.strip_suffix("Pil")).unwrap_or(class);
    let plain = plain.replace("FeatureExtractor", "ImageProcessor");
    let known = PROCESSORS.iter().find(|known| known.class == plain);
    known.ok_or_else(|| {
        let all: Vec<_> = PROCESSORS.iter().map(|known| known.class).collect();
        format!("asks for transformers' {class}, which is not supported; {} are", all.join(", "))
    })
}

fn resize(size: &Value, known: Option<&Processor>) -> Result<Resize, String> {
    let wrong = || {
        Err(format!(
            "has size {size}; supported are {{\"shortest_edge\": N}} and {{\"height\": N, \"width\": N}}"
        ))
    };
    match (size, known) {
        (Value::Number(_), None) => wrong(),
        (Value::Number(_), Some(known)) => match square(size) {
            Some(side) if known.shorter => Ok(Resize::Shorter(side)),
            Some(side) => Ok(Resize::Both(side)),
            None => wrong(),
        },
        (Value::Object(fields), _) if fields.len() == 1 => match fields.get("shortest_edge").and_then(square)
        {
            Some(side) => Ok(Resize::Shorter(side)),
            None => wrong(),
        },
        _ => square(size).map_or_else(wrong, |side| Ok(Resize::Both(side))),
    }
}

/// The side that a number, or equal height and width, name.
fn square(size: &Value) -> Option<usize> {
    let side =
        |value: &Value| value.as_u64().filter(|side| (1..=LARGEST).contains(side)).map(|side| side as usize);
    match size {
        Value::Number(_) => side(size),
        Value::Object(fields) if fields.len() == 2 => {
            let (height, width) = (side(fields.get("height")?)?, side(fields.get("width")?)?);
            (height == width).then_some(height)
        }
        _ => None,
    }
}

/// Pillow's filter by its number.
fn resample(number: &Value) -> Result<Filter, String> {
    match number.as_u64() {
        Some(2) => Ok(Filter::Bilinear),
        Some(3) => Ok(Filter::Bicubic),
        other => {
            let names = ["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"];
            let name = other
                .and_then(|at| names.get(at as usize))
                .map_or(String::new(), |name| format!(" ({name})"));
            Err(format!("has resample {number}{name}; 2 (bilinear) and 3 (bicubic) are supported"))
        }
    }
}

/// timm's form: `pretrained_cfg`, or in older files its fields alone.
fn of_timm(value: &Value) -> Result<Option<Pictures>, String> {
    let inner = value.get("pretrained_cfg").unwrap_or(value);
    if inner.get("input_size").is_none() {
        return Ok(None);
    }
    let settings = Settings::new(inner)?;
    let input = settings.get("input_size").cloned().unwrap_or_default();
    let side = match input.as_array().map(Vec::as_slice) {
        Some([channels, height, width]) if channels.as_u64() == Some(3) && height == width => square(height),
        _ => None,
    };
    let side = side.ok_or_else(|| format!("has input_size {input}; [3, N, N] is supported"))?;
    let filter = match settings.text("interpolation") {
        Some("bilinear") => Filter::Bilinear,
        Some("bicubic") | None => Filter::Bicubic,
        Some(other) => {
            return Err(format!("has interpolation {other}; bilinear and bicubic are supported"));
        }
    };
    let share = match settings.get("crop_pct") {
        // timm's own.
        None => 0.875,
        Some(number) => number.as_f64().unwrap_or_default(),
    };
    if !(share > 0.0 && share <= 1.0) {
        return Err(format!("has crop_pct {share}; more than 0 and at most 1 is supported"));
    }
    let resized = (side as f64 / share).floor() as usize;
    let resize = match settings.text("crop_mode") {
        Some("center") | None => Resize::Shorter(resized),
        Some("squash") => Resize::Both(resized),
        Some(other) => return Err(format!("has crop_mode {other}; center and squash are supported")),
    };
    let mean = settings.colours("mean", Some(IMAGENET.0))?;
    let std = settings.colours("std", Some(IMAGENET.1))?;
    pictures(resize, Some(side), filter, Centre::HalfToEven, mean, std).map(Some)
}

fn pictures(
    resize: Resize,
    cropped: Option<usize>,
    filter: Filter,
    centre: Centre,
    mean: [f32; 3],
    std: [f32; 3],
) -> Result<Pictures, String> {
    let side = match (resize, cropped) {
        (Resize::Shorter(_), None) => {
            return Err(
                "resizes the shorter side and crops nothing, so pictures would have different shapes; \
                        square ones are supported"
                    .into(),
            );
        }
        (Resize::Shorter(resized) | Resize::Both(resized), Some(side)) if side > resized => {
            return Err(format!(
                "crops {side} px out of {resized}: pictures with a border are not supported"
            ));
        }
        (_, Some(side)) => side,
        (Resize::Both(side), None) => side,
    };
    // Where nothing is cut away there is one middle.
    let centre = if resize == Resize::Both(side) { Centre::Down } else { centre };
    Ok(Pictures { framing: Framing { resize, side, filter, centre }, mean, std })
}

/// The fields of a file of settings.
struct Settings<'a>(&'a Map<String, Value>);

impl<'a> Settings<'a> {
    fn new(value: &'a Value) -> Result<Self, String> {
        value
            .as_object()
            .map(Self)
            .ok_or_else(|| "does not say how pictures are made: it is no object".into())
    }

    /// A field; `null` counts as none.
    fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key)?.as_str()
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => {
                value.as_bool().ok_or_else(|| format!("has {key} {value}, expected true or false"))
            }
        }
    }

    /// Whether anything else happens to the pictures.
    fn refuse_other_steps(&self) -> Result<(), String> {
        /// Steps that are known here. Every picture is RGB.
        const STEPS: [&str; 5] =
            ["do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb"];
        let unknown = |key: &str| key.starts_with("do_") && !STEPS.contains(&key);
        let asked = |key: &str| self.get(key).is_some_and(|value| *value != Value::Bool(false));
        match self.0.keys().find(|key| unknown(key) && asked(key)) {
            Some(step) => Err(format!("asks for {step}, which is not supported")),
            // Of ConvNeXt's processor: part of the picture only.
            None if asked("crop_pct") => Err("asks for crop_pct, which is not supported".into()),
            None => Ok(()),
        }
    }

    /// Checks that bytes become numbers from 0 to 1.
    fn is_255th(&self) -> Result<(), String> {
        if !self.flag("do_rescale", true)? {
            return Err("has do_rescale off; pixels from 0 to 1 are supported".into());
        }
        match self.get("rescale_factor").map(Value::as_f64) {
            None => Ok(()),
            Some(Some(factor)) if (factor * 255.0 - 1.0).abs() < 1e-6 => Ok(()),
            Some(factor) => {
                Err(format!("has rescale_factor {}; 1/255 is supported", factor.unwrap_or(f64::NAN)))
            }
        }
    }

    /// A number for each colour.
    fn colours(&self, key: &str, default: Option<[f32; 3]>) -> Result<[f32; 3], String> {
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| format!("has neither {key} nor a known image_processor_type"));
        };
        let number = |value: &Value| value.as_f64().map(|x| x as f32).filter(|x| x.is_finite());
        let three = match value.as_array().map(Vec::as_slice) {
            Some([red, green, blue]) => {
                number(red).zip(number(green)).zip(number(blue)).map(|((r, g), b)| [r, g, b])
            }
            Some(_) => None,
            None => number(value).map(|x| [x; 3]),
        };
        let three = three.ok_or_else(|| format!("has {key} {value}, expected three numbers"))?;
        if key.ends_with("std") && three.iter().any(|x| *x <= 0.0) {
            return Err(format!("has {key} {value}, expected numbers above 0"));
        }
        Ok(three)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(resize: Resize, side: usize, filter: Filter, centre: Centre) -> Framing {
        Framing { resize, side, filter, centre }
    }

    #[test]
    fn usual_pictures_read_back_as_they_are() {
        for family in crate::weights::FAMILIES.into_iter().filter(|family| family.settings_file.is_some()) {
            let store = Store::bundled("mini", crate::weights::MINI_LIFT).unwrap();
            let store = with_usual(store, &family.pictures);
            let read = told(&store, Path::new(""), &[&OF_TRANSFORMERS]).unwrap().unwrap();
            assert_eq!(read.pictures, family.pictures, "{family}");
        }
    }

    #[test]
    fn transformers_settings_are_those_of_its_processors() {
        // As published with SigLIP 2, DINOv2 and an old CLIP.
        let siglip2 = json!({"do_convert_rgb": null, "do_normalize": true, "do_rescale": true, "do_resize": true,
            "image_mean": [0.5, 0.5, 0.5], "image_processor_type": "SiglipImageProcessor", "image_std": [0.5, 0.5, 0.5],
            "processor_class": "SiglipProcessor", "resample": 2, "rescale_factor": 0.00392156862745098,
            "size": {"height": 384, "width": 384}});
        let read = of_transformers(&siglip2).unwrap();
        assert_eq!(read.framing, framing(Resize::Both(384), 384, Filter::Bilinear, Centre::Down));
        assert_eq!((read.mean, read.std), HALVES);
        let dinov2 = json!({"crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "do_convert_rgb": true,
            "do_normalize": true, "do_rescale": true, "do_resize": true, "image_mean": [0.485, 0.456, 0.406],
            "image_processor_type": "BitImageProcessor", "image_std": [0.229, 0.224, 0.225], "resample": 3,
            "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 256}});
        let read = of_transformers(&dinov2).unwrap();
        assert_eq!(read.framing, framing(Resize::Shorter(256), 224, Filter::Bicubic, Centre::Down));
        assert_eq!((read.mean, read.std), IMAGENET);
        let clip = json!({"crop_size": 224, "do_center_crop": true, "do_normalize": true, "do_resize": true,
            "feature_extractor_type": "CLIPFeatureExtractor", "resample": 3, "size": 224});
        let read = of_transformers(&clip).unwrap();
        assert_eq!(read.framing, framing(Resize::Shorter(224), 224, Filter::Bicubic, Centre::Down));
        assert_eq!((read.mean, read.std), CLIP_STATISTICS);
        let dinov3 = json!({"image_processor_type": "DINOv3ViTImageProcessorFast", "crop_size": null});
        let read = of_transformers(&dinov3).unwrap();
        assert_eq!(read.framing, framing(Resize::Both(224), 224, Filter::Bilinear, Centre::Down));
        assert_eq!((read.mean, read.std), IMAGENET);
        let plain = json!({"image_processor_type": "ViTImageProcessor", "do_normalize": false});
        assert_eq!(of_transformers(&plain).unwrap().std, [1.0; 3]);
    }

    #[test]
    fn timms_settings_are_those_of_its_evaluation() {
        let config = json!({"architecture": "vit_small_patch16_dinov3", "pretrained_cfg": {"input_size": [3, 256, 256],
            "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center", "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225]}});
        let read = of_timm(&config).unwrap().unwrap();
        assert_eq!(read.framing, framing(Resize::Shorter(256), 256, Filter::Bicubic, Centre::HalfToEven));
        assert_eq!((read.mean, read.std), IMAGENET);
        let old = json!({"input_size": [3, 224, 224], "interpolation": "bilinear", "crop_mode": "squash"});
        let read = of_timm(&old).unwrap().unwrap();
        assert_eq!(read.framing, framing(Resize::Both(256), 224, Filter::Bilinear, Centre::HalfToEven));
        assert_eq!(of_timm(&json!({"model_type": "dinov3_vit"})).unwrap(), None);
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let mut siglip = json!({"image_processor_type": "SiglipImageProcessor"});
        let fields = siglip.as_object_mut().unwrap();
        for (key, value, said) in [
            ("do_resize", json!(false), "do_resize"),
            ("do_rescale", json!(false), "do_rescale"),
            ("do_pad", json!(true), "do_pad"),
            ("do_flip_channel_order", json!(true), "do_flip_channel_order"),
            ("do_normalize", json!("yes"), "expected true or false"),
            ("rescale_factor", json!(0.5), "rescale_factor 0.5"),
            ("resample", json!(1), "resample 1 (lanczos)"),
            ("resample", json!(-1), "resample -1;"),
            ("crop_pct", json!(0.9), "crop_pct"),
            ("size", json!({"height": 224, "width": 256}), "size {"),
            ("size", json!({"longest_edge": 224}), "size {"),
            ("size", json!({"shortest_edge": 224, "longest_edge": 300}), "size {"),
            ("size", json!({"shortest_edge": 224}), "crops nothing"),
            ("size", json!(0), "size 0"),
            ("size", json!(1_000_000), "size 1000000"),
            ("do_center_crop", json!(true), "crops 224 px out of 100"),
            ("image_std", json!([1, 0, 1]), "above 0"),
            ("image_mean", json!([1, 2]), "three numbers"),
            ("image_processor_type", json!("Siglip2ImageProcessor"), "Siglip2ImageProcessor"),
        ] {
            let before = fields.insert(key.into(), value);
            if key == "do_center_crop" {
                fields.insert("size".into(), json!(100));
            }
            let read = of_transformers(&Value::Object(fields.clone()));
            let error = read.expect_err(key);
            assert!(error.contains(said), "{key}: {error}");
            fields.remove("size");
            match before {
                Some(before) => fields.insert(key.into(), before),
                None => fields.remove(key),
            };
        }
        assert!(of_transformers(&json!({})).is_err() && of_transformers(&json!([])).is_err());
        for (key, value, said) in [
            ("interpolation", json!("lanczos"), "lanczos"),
            ("crop_mode", json!("border"), "border"),
            ("crop_pct", json!(1.2), "crop_pct 1.2"),
            ("input_size", json!([1, 28, 28]), "input_size"),
            ("input_size", json!([3, 224, 256]), "input_size"),
        ] {
            let mut config = json!({"input_size": [3, 224, 224]});
            config.as_object_mut().unwrap().insert(key.into(), value);
            let error = of_timm(&config).expect_err(key);
            assert!(error.contains(said), "{key}: {error}");
        }
    }
}
