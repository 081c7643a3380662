//! One file of named tensors, whatever its format, with its metadata.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use crate::files::ErrorKind;
use crate::model::cause;
use candle_core::{DType, Device, Tensor};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest, Sha256};

/// Why a file of weights cannot be used. Every message names the file, the cause and what to do.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be opened or mapped.
    #[error("{origin}: cannot be opened: {cause}; check the path and its permissions")]
    Open {
        /// The file.
        origin: String,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The bytes are not the format they should be.
    #[error("{origin}: not a readable {format} file: {cause}; it may be cut short: fetch it again")]
    Format {
        /// The file.
        origin: String,
        /// The format that was expected.
        format: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// The tensors are not those of the model.
    #[error("{origin}: not {model}: {differences}; pass the right file with {flag}")]
    Tensors {
        /// The file.
        origin: String,
        /// What the file should be, with an article.
        model: &'static str,
        /// Missing, unknown and misshapen tensors.
        differences: String,
        /// The flag that names the file.
        flag: &'static str,
    },
    /// The tensors do not say everything.
    #[error("{origin}: {cause}")]
    Unclear {
        /// The file.
        origin: String,
        /// What is missing and how to supply it.
        cause: String,
    },
    /// The file is missing and could not be downloaded.
    #[error("{0}")]
    Absent(String),
    /// A file cannot be written: a full disk, a folder without permission.
    #[error("{origin}: cannot be written: {cause}; {remedy}")]
    Write {
        /// The file or folder.
        origin: String,
        /// What the system said.
        cause: std::io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// A signal came during a download.
    #[error("interrupted; what has arrived is kept, and the next run goes on from there")]
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
}

impl WeightsError {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Write { .. } => ErrorKind::Write,
            Self::Interrupted { signal } => ErrorKind::Interrupted(*signal),
            Self::Open { .. }
            | Self::Format { .. }
            | Self::Tensors { .. }
            | Self::Unclear { .. }
            | Self::Absent(_) => ErrorKind::Read,
        }
    }
}

enum Bytes {
    Mapped(Mmap),
    Bundled(&'static [u8]),
}

impl Bytes {
    fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Bundled(bytes) => bytes,
        }
    }
}

/// Named tensors of one file with their shapes. The numbers are read in place as f32, without copying where they are stored so.
pub struct Store {
    origin: String,
    bytes: Bytes,
    index: BTreeMap<String, TensorEntry>,
    metadata: HashMap<String, String>,
    /// The file's digest, where it was taken when the file came and the file has not changed since.
    known_digest: Option<String>,
}

/// The shape, type and byte range of a tensor.
#[derive(Debug, Clone)]
pub(super) struct TensorEntry {
    pub(super) shape: Vec<usize>,
    pub(super) dtype: Dtype,
    /// Offsets into the whole file.
    pub(super) range: (usize, usize),
    /// Elements between neighbours, where the order is not row-major; the last one reached ends the range.
    pub(super) strides: Option<Vec<usize>>,
}

/// Maps a file into memory.
pub(super) fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let origin = path.display().to_string();
    let open = |cause| WeightsError::Open { origin: origin.clone(), cause };
    let file = File::open(path).map_err(open)?;
    if file.metadata().map_err(open)?.is_dir() {
        return Err(open(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    // SAFETY: the map is read-only and private to this process; a file that another process shortens while it is
    // mapped ends the process with a bus error, a risk shared by every user of safetensors' memory maps.
    unsafe { Mmap::map(&file) }.map_err(open)
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("origin", &self.origin).field("tensors", &self.index.len()).finish()
    }
}

impl Store {
    /// Maps a safetensors file into memory.
    ///
    /// # Errors
    /// If the file cannot be opened or its header is not sound.
    pub fn map(path: &Path) -> Result<Self, WeightsError> {
        Self::parse(path.display().to_string(), Bytes::Mapped(map(path)?))
    }

    /// Reads bundled bytes.
    ///
    /// # Errors
    /// If the header is not sound.
    pub fn bundled(name: &str, bytes: &'static [u8]) -> Result<Self, WeightsError> {
        Self::parse(name.to_string(), Bytes::Bundled(bytes))
    }

    /// Takes a mapped file whose tensors another reader has placed within it.
    pub(super) fn of_map(origin: String, map: Mmap, index: BTreeMap<String, TensorEntry>) -> Self {
        Self { origin, bytes: Bytes::Mapped(map), index, metadata: HashMap::new(), known_digest: None }
    }

    fn parse(origin: String, bytes: Bytes) -> Result<Self, WeightsError> {
        let buffer = bytes.all();
        let bad = |e: safetensors::SafeTensorError| WeightsError::Format {
            origin: origin.clone(),
            format: "safetensors",
            cause: e.to_string(),
        };
        let (header, metadata) = SafeTensors::read_metadata(buffer).map_err(bad)?;
        let start = header + 8;
        SafeTensors::deserialize(buffer).map_err(bad)?;
        let index = metadata
            .tensors()
            .into_iter()
            .map(|(name, info)| {
                let range = (start + info.data_offsets.0, start + info.data_offsets.1);
                (name, TensorEntry { shape: info.shape.clone(), dtype: info.dtype, range, strides: None })
            })
            .collect();
        let metadata = metadata.metadata().clone().unwrap_or_default();
        Ok(Self { origin, bytes, index, metadata, known_digest: None })
    }

    /// Forgets the tensors whose names `keep` refuses.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.index.retain(|name, _| keep(name));
    }

    /// The same tensors with something said of them.
    pub(super) fn with_metadata(mut self, key: &str, text: String) -> Self {
        self.metadata.insert(key.into(), text);
        self
    }

    /// The same file with its digest, where that is known.
    pub(super) fn with_digest(mut self, digest: Option<String>) -> Self {
        self.known_digest = digest;
        self
    }

    /// [`Self::digest`] without reading the file, where its digest was taken when it came and it has not changed since.
    pub fn known_digest(&self) -> String {
        self.known_digest.clone().unwrap_or_else(|| self.digest())
    }

    /// SHA-256 of the whole file, in hexadecimal.
    pub fn digest(&self) -> String {
        crate::files::hexadecimal(&Sha256::digest(self.bytes.all()))
    }

    /// Bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.bytes.all().len() as u64
    }

    /// The file's path, or a name for bundled bytes.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The metadata of a safetensors file.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// The shape of a tensor, if there is one of that name.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.index.get(name).map(|e| e.shape.as_slice())
    }

    /// The names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// The numbers of a tensor, row-major, as f32: borrowed from the map where they are stored so.
    ///
    /// # Errors
    /// If there is no such tensor or its numbers are not floating-point.
    pub fn f32(&self, name: &str) -> Result<Cow<'_, [f32]>, WeightsError> {
        let unclear = |cause: String| WeightsError::Unclear { origin: self.origin.clone(), cause };
        let entry = self.index.get(name).ok_or_else(|| unclear(no_tensor(name)))?;
        let raw = &self.bytes.all()[entry.range.0..entry.range.1];
        if let Some(strides) = &entry.strides {
            let reached = Self::numbers(name, entry.dtype, raw).map_err(unclear)?;
            return Ok(Cow::Owned(gather(&reached, &entry.shape, strides)));
        }
        Self::numbers(name, entry.dtype, raw).map_err(unclear)
    }

    /// Checks that a tensor holds numbers, without reading them.
    ///
    /// # Errors
    /// As [`Store::f32`].
    pub fn check_numbers(&self, name: &str) -> Result<(), WeightsError> {
        let unclear = |cause: String| WeightsError::Unclear { origin: self.origin.clone(), cause };
        match self.index.get(name).map(|entry| entry.dtype) {
            Some(Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16) => Ok(()),
            Some(other) => Err(unclear(no_numbers(name, other))),
            None => Err(unclear(no_tensor(name))),
        }
    }

    /// Consecutive numbers as f32.
    fn numbers<'a>(name: &str, dtype: Dtype, raw: &'a [u8]) -> Result<Cow<'a, [f32]>, String> {
        match (dtype, bytemuck::try_cast_slice::<u8, f32>(raw)) {
            (Dtype::F32, Ok(values)) => Ok(Cow::Borrowed(values)),
            (Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::BF16, _) => {
                let count = raw.len() * 8 / dtype.bitsize();
                let view = TensorView::new(dtype, vec![count], raw).map_err(|e| format!("{name}: {e}"))?;
                let read = candle_core::safetensors::Load::load(&view, &Device::Cpu)
                    .and_then(|t| t.to_dtype(DType::F32)?.to_vec1());
                Ok(Cow::Owned(read.map_err(|e| format!("{name}: {e}"))?))
            }
            (other, _) => Err(no_numbers(name, other)),
        }
    }

    /// A tensor as f32 on `device`.
    ///
    /// # Errors
    /// As [`Store::f32`], or if the device fails.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor, WeightsError> {
        let values = self.f32(name)?;
        let shape = self.shape(name).unwrap_or_default();
        Tensor::from_slice(&values, shape, device).map_err(|e| WeightsError::Unclear {
            origin: self.origin.clone(),
            cause: format!("{name}: {}", cause(&e)),
        })
    }

    /// Compares names and shapes with the exact set a model has; names for which `ours` is false are not checked.
    ///
    /// # Errors
    /// If any tensor is missing, unknown or has another shape, all in one message.
    pub fn check(
        &self,
        expected: &[(String, Vec<usize>)],
        ours: impl Fn(&str) -> bool,
        model: &'static str,
        flag: &'static str,
    ) -> Result<(), WeightsError> {
        let wanted: HashMap<&str, &[usize]> =
            expected.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect();
        let missing = expected.iter().map(|(n, _)| n.clone()).filter(|n| !self.index.contains_key(n));
        let unknown = self.index.keys().filter(|n| ours(n) && !wanted.contains_key(n.as_str())).cloned();
        let misshapen = self.index.iter().filter_map(|(name, entry)| {
            let want = wanted.get(name.as_str())?;
            (entry.shape != **want).then(|| format!("{name} is {:?}, not {want:?}", entry.shape))
        });
        let differences: Vec<String> = [
            some("missing", missing.collect()),
            some("unknown", unknown.collect()),
            some("wrong shape", misshapen.collect()),
        ]
        .into_iter()
        .flatten()
        .collect();
        if differences.is_empty() {
            return Ok(());
        }
        let differences = differences.join("; ");
        Err(WeightsError::Tensors { origin: self.origin.clone(), model, differences, flag })
    }
}

fn no_tensor(name: &str) -> String {
    format!("no tensor named {name}")
}

fn no_numbers(name: &str, dtype: Dtype) -> String {
    format!("{name} holds {dtype:?}, expected floating-point numbers")
}

/// The numbers in row-major order, from those that the strides reach.
fn gather(reached: &[f32], shape: &[usize], strides: &[usize]) -> Vec<f32> {
    let mut places = vec![0];
    for (&size, &stride) in shape.iter().zip(strides) {
        places = places.iter().flat_map(|&at| (0..size).map(move |i| at + i * stride)).collect();
    }
    places.into_iter().map(|at| reached[at]).collect()
}

/// `"2 missing (a, b)"`, the first few named, or nothing for none.
fn some(what: &str, names: Vec<String>) -> Option<String> {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    (!names.is_empty()).then(|| format!("{} {what} ({shown}{more})", names.len()))
}

impl crate::model::fold::Tensors for Store {
    fn values(&self, name: &str) -> candle_core::Result<Cow<'_, [f32]>> {
        self.f32(name).map_err(|e| candle_core::Error::Msg(e.to_string()))
    }

    fn check_values(&self, name: &str) -> candle_core::Result<()> {
        self.check_numbers(name).map_err(|e| candle_core::Error::Msg(e.to_string()))
    }
}
