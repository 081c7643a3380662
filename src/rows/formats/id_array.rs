//! Ids in numpy's arrays: texts of a fixed width, or integers.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::rows::formats::npy::{Header, check_size, read_header};

/// One id as a text, from its bytes and the type of the array; `None` if it is no text.
type IdText = fn(&[u8], &str) -> Option<String>;

/// Reads the ids of rows: texts (`<U8`: eight UTF-32 code units, filled with zeros; `|S8`: eight bytes of UTF-8) or integers, which
/// become their digits. `bytes` bytes follow the header.
pub(crate) fn read_ids(from: &mut impl Read, header: &Header, bytes: u64) -> Result<Vec<String>, String> {
    let descr = header.descr.as_str();
    let wrong = || match descr {
        "|O" => {
            "it holds Python objects, which are not read; save the ids as texts: numpy.array(ids, dtype=str)"
                .to_owned()
        }
        _ => format!("its type is {descr:?}; ids are texts or integers: save them with .astype(str)"),
    };
    let sized = |kind: &str, unit: usize| {
        let length: usize = descr.strip_prefix(kind)?.parse().ok()?;
        length.checked_mul(unit).filter(|size| *size > 0)
    };
    let integers = ["|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"];
    let (size, text): (usize, IdText) = if let Some(size) = sized("<U", 4) {
        (size, |units, _| {
            let units = units.as_chunks::<4>().0.iter().map(|u| char::from_u32(u32::from_le_bytes(*u)));
            Some(units.collect::<Option<String>>()?.trim_end_matches('\0').to_owned())
        })
    } else if let Some(size) = sized("|S", 1) {
        (size, |bytes, _| Some(std::str::from_utf8(bytes).ok()?.trim_end_matches('\0').to_owned()))
    } else if integers.contains(&descr) {
        (usize::from(descr.as_bytes()[2] - b'0'), |bytes, descr| {
            Some(integer(bytes, descr.contains('i')).to_string())
        })
    } else {
        return Err(wrong());
    };
    let count = check_size(header, size, bytes)?;
    if header.shape.len() > 1 || (count > 0 && size as u64 > bytes) {
        return Err(format!("its shape is {:?}; one id per row is needed", header.shape));
    }
    let mut ids = Vec::new();
    let mut one = vec![0u8; if count > 0 { size } else { 0 }];
    for _ in 0..count {
        from.read_exact(&mut one).map_err(|e| e.to_string())?;
        ids.push(text(&one, descr).ok_or("a text is not Unicode")?);
    }
    Ok(ids)
}

/// A little-endian integer of up to eight bytes.
pub(crate) fn integer(bytes: &[u8], signed: bool) -> i128 {
    let unsigned = bytes.iter().rev().fold(0i128, |value, byte| value << 8 | i128::from(*byte));
    let bits = 8 * bytes.len();
    match signed && unsigned >> (bits - 1) == 1 {
        true => unsigned - (1 << bits),
        false => unsigned,
    }
}

/// The ids of an `.npy` that holds nothing else.
pub(crate) fn ids_of_file(path: &Path) -> Result<Vec<String>, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    let bytes = file.metadata().map_err(|e| e.to_string())?.len();
    let mut file = BufReader::new(file);
    let header = read_header(&mut file)?;
    let rest = bytes.saturating_sub(header.len as u64);
    read_ids(&mut file, &header, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_texts_or_integers() {
        let ids = |descr: &str, shape: &str, values: &[u8]| {
            let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((dict.len() as u16).to_le_bytes());
            bytes.extend(dict.as_bytes());
            let header = read_header(&mut &bytes[..]).unwrap();
            read_ids(&mut &values[..], &header, values.len() as u64)
        };
        let texts: Vec<u8> = "aü\0b\0\0".chars().flat_map(|c| (c as u32).to_le_bytes()).collect();
        assert_eq!(ids("<U3", "(2,)", &texts).unwrap(), ["aü", "b"]);
        assert_eq!(ids("|S2", "(2,)", b"abc\0").unwrap(), ["ab", "c"]);
        assert_eq!(
            ids("<i8", "(2,)", &[(-3i64).to_le_bytes(), 76198i64.to_le_bytes()].concat()).unwrap(),
            ["-3", "76198"]
        );
        assert_eq!(ids("|u1", "(2,)", &[7, 255]).unwrap(), ["7", "255"]);
        assert_eq!(ids("<u8", "(1,)", &[255; 8]).unwrap(), [u64::MAX.to_string()]);
        assert_eq!(ids("<U3", "(0,)", &[]).unwrap(), Vec::<String>::new());
        for (descr, shape, values, reason) in [
            ("|O", "(1,)", &b"\x80"[..], "Python objects"),
            ("<f8", "(1,)", &[0; 8], "astype(str)"),
            ("<U0", "(1,)", &[], "astype(str)"),
            ("|S1", "(1, 2)", b"ab", "one id per row"),
            ("|S2", "(2,)", b"ab", "cut short"),
            ("|S1", "(1,)", b"\xff", "not Unicode"),
        ] {
            let error = ids(descr, shape, values).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
