//! Files as torch writes them, whole or spoilt on purpose.

use std::io::Write;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Operations of a pickle, one after the other.
#[derive(Default, Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    /// Protocol 2.
    pub fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap();
        self.raw(b"X").raw(&length.to_le_bytes()).raw(text.as_bytes())
    }

    pub fn int(self, n: usize) -> Self {
        // LONG1 of 8 bytes: what torch writes for sizes beyond i32.
        self.raw(&[0x8a, 8]).raw(&(n as u64).to_le_bytes())
    }

    pub fn sizes(self, sizes: &[usize]) -> Self {
        sizes.iter().fold(self.raw(b"("), |p, n| p.int(*n)).raw(b"t")
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(b"c").raw(module.as_bytes()).raw(b"\n").raw(name.as_bytes()).raw(b"\n")
    }

    /// `_rebuild_tensor_v2` of a float storage.
    pub fn tensor(self, key: &str, stored: usize, shape: &[usize], strides: &[usize]) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"((")
            .text("storage")
            .global("torch", "FloatStorage")
            .text(key)
            .text("cpu")
            .int(stored)
            .raw(b"tQ")
            .int(0)
            .sizes(shape)
            .sizes(strides)
            .raw(b"\x89")
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    pub fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// A zip with these entries under `archive/`, as they are.
pub fn stored(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    zip_with(entries, CompressionMethod::Stored)
}

/// The same, packed.
pub fn packed(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    zip_with(entries, CompressionMethod::Deflated)
}

fn zip_with(entries: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in entries {
        zip.start_file(format!("archive/{name}"), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A Lightning checkpoint with these tensors as its `state_dict`.
pub fn checkpoint(tensors: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
    let mut pickle = Pickle::new().raw(b"}(").text("epoch").int(7).text("state_dict");
    pickle = pickle.global("collections", "OrderedDict").raw(b")R(");
    let mut entries = Vec::new();
    for (i, (name, shape, values)) in tensors.iter().enumerate() {
        let mut strides = vec![1; shape.len()];
        for d in (1..shape.len()).rev() {
            strides[d - 1] = strides[d] * shape[d];
        }
        pickle = pickle.text(name).tensor(&i.to_string(), values.len(), shape, &strides);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        entries.push((format!("data/{i}"), bytes));
    }
    let pickle = pickle.raw(b"uu").stop();
    let mut all = vec![("data.pkl", pickle), ("byteorder", b"little".to_vec())];
    all.extend(entries.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())));
    stored(&all)
}
