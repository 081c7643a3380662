//! As much of Python's pickle as it takes to find the tensors of a torch file.
//!
//! A pickle is a program for a stack machine, and a foreign program at that. Here it only ever builds a description: a
//! global is its two names, a call is the pair of callable and arguments and is never made. Values lie in one list and
//! refer to each other by place, so that neither a memo that doubles itself nor nesting a million deep costs more than the
//! bytes that say so; every step is linear in the pickle, whose size the caller limits. What torch never writes is an error.

use std::collections::HashMap;

/// The place of a value in its [`Pickle`].
pub(super) type Id = usize;

/// A value as the pickle describes it.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// `None`, a truth value, a float, bytes: nothing that a tensor's place needs.
    Other,
    Int(i64),
    Text(&'a str),
    /// A class or function, by module and name.
    Global(&'a str, &'a str),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in the order they were set.
    Dict(Vec<(Id, Id)>),
    /// What calling the first with the second would give.
    Call(Id, Id),
    /// A reference out of the pickle: to a torch storage.
    Persistent(Id),
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle of protocol 2 (torch's own choice), 3 or 4.
    ///
    /// # Errors
    /// What is wrong with it, in words: it ends early, takes from an empty stack, or holds an operation that torch's files
    /// never have.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine = Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new() };
        let mut memo = HashMap::new();
        while machine.step(&mut memo)? {}
        let root = machine.pop()?;
        Ok(Self { values: machine.values, root })
    }

    /// The value of the whole pickle.
    pub(super) fn root(&self) -> Id {
        self.root
    }

    /// The value at a place that this pickle gave.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        self.values.get(id).unwrap_or(&Value::Other)
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks that are open.
    marks: Vec<usize>,
}

impl<'a> Machine<'a> {
    /// Carries out one operation; false at the end.
    fn step(&mut self, memo: &mut HashMap<u32, Id>) -> Result<bool, String> {
        let at = self.at;
        match self.u8()? {
            // PROTO, STOP, MARK, POP, POP_MARK
            0x80 => match self.u8()? {
                2..=4 => {}
                other => {
                    return Err(format!(
                        "it is a pickle of protocol {other}, and 2 to 4 can be read; save it with torch.save and no pickle_protocol"
                    ));
                }
            },
            b'.' => return Ok(false),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.above_mark()?),
            // NONE, NEWTRUE, NEWFALSE, BINFLOAT, BINBYTES, SHORT_BINBYTES
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b'B' => {
                let length = self.u32()?;
                self.take(length as usize)?;
                self.push(Value::Other);
            }
            b'C' => {
                let length = self.u8()?;
                self.take(usize::from(length))?;
                self.push(Value::Other);
            }
            // BININT, BININT1, BININT2, LONG1
            b'J' => {
                let value = self.u32()?.cast_signed();
                self.push(Value::Int(value.into()));
            }
            b'K' => {
                let value = self.u8()?;
                self.push(Value::Int(value.into()));
            }
            b'M' => {
                let value = self.little_endian(2)?;
                self.push(Value::Int(value));
            }
            0x8a => {
                let length = usize::from(self.u8()?);
                // Longer numbers are no size of anything here.
                let value = if length <= 8 { Value::Int(self.little_endian(length)?) } else { Value::Other };
                if length > 8 {
                    self.take(length)?;
                }
                self.push(value);
            }
            // BINUNICODE, BINSTRING, SHORT_BINSTRING
            b'X' | b'T' => {
                let length = self.u32()?;
                self.text(length as usize)?;
            }
            // SHORT_BINUNICODE is protocol 4's.
            b'U' | 0x8c => {
                let length = self.u8()?;
                self.text(usize::from(length))?;
            }
            // BINUNICODE8, BINBYTES8
            0x8d => {
                let length = self.u64()?;
                self.text(length)?;
            }
            0x8e => {
                let length = self.u64()?;
                self.take(length)?;
                self.push(Value::Other);
            }
            // FRAME: the length of what follows, for readers that fetch it in one piece.
            0x95 => drop(self.take(8)?),
            // MEMOIZE: the next free entry of the memo.
            0x94 => {
                let slot = u32::try_from(memo.len()).map_err(|_| "its memo has too many entries")?;
                memo.insert(slot, self.top()?);
            }
            // GLOBAL
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(module, name));
            }
            // STACK_GLOBAL
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (self.values.get(module), self.values.get(name)) {
                    (Some(&Value::Text(module)), Some(&Value::Text(name))) => {
                        self.push(Value::Global(module, name));
                    }
                    _ => return Err("its pickle names a class by something that is no text".into()),
                }
            }
            // Tuples, lists, dicts, sets
            b')' => self.push(Value::Tuple(Vec::new())),
            b't' => {
                let items = self.above_mark()?;
                self.push(Value::Tuple(items));
            }
            op @ 0x85..=0x87 => {
                let count = usize::from(op - 0x84);
                let from = self.stack.len().checked_sub(count).ok_or_else(empty)?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items));
            }
            b']' | 0x8f => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b'a' => {
                let item = self.pop()?;
                self.extend(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.above_mark()?;
                self.extend(items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set(&items)?;
            }
            // REDUCE, NEWOBJ, BUILD, BINPERSID
            b'R' | 0x81 => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                let empty_dict = matches!(
                    self.values.get(callable),
                    Some(Value::Global("collections", "OrderedDict" | "defaultdict"))
                );
                self.push(if empty_dict {
                    Value::Dict(Vec::new())
                } else {
                    Value::Call(callable, arguments)
                });
            }
            // The state is attributes of an object, such as a state_dict's `_metadata`: no tensor's place is in it.
            b'b' => drop(self.pop()?),
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id));
            }
            // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
            op @ (b'q' | b'r') => {
                let slot = if op == b'q' { self.u8()?.into() } else { self.u32()? };
                memo.insert(slot, self.top()?);
            }
            op @ (b'h' | b'j') => {
                let slot = if op == b'h' { self.u8()?.into() } else { self.u32()? };
                let id = memo.get(&slot).ok_or_else(|| format!("its memo has no entry {slot}"))?;
                self.stack.push(*id);
            }
            other => {
                return Err(format!("its pickle has the operation {other:#04x} at byte {at}, unknown here"));
            }
        }
        Ok(true)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or("its pickle ends in the middle of an operation")?;
        self.at += count;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    /// A length of 8 bytes.
    fn u64(&mut self) -> Result<usize, String> {
        let length = self.take(8)?.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        usize::try_from(length).map_err(|_| "its pickle ends in the middle of an operation".into())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(self.take(4)?.iter().rev().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
    }

    /// A number of up to 8 bytes; 8 hold a negative one, which no size is.
    fn little_endian(&mut self, count: usize) -> Result<i64, String> {
        Ok(self.take(count)?.iter().rev().fold(0, |sum, &byte| sum << 8 | i64::from(byte)))
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let bytes = self.take(length)?;
        // Hyperparameters may hold any bytes; names of tensors are text.
        self.push(str::from_utf8(bytes).map_or(Value::Other, Value::Text));
        Ok(())
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n').ok_or("its pickle ends in a name")?;
        let line = self.take(end)?;
        self.at += 1;
        str::from_utf8(line).map_err(|_| "its pickle names a class that is no text".into())
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    /// The innermost mark hides what lies below it.
    fn pop(&mut self) -> Result<Id, String> {
        if self.marks.last().is_some_and(|&mark| self.stack.len() <= mark) {
            return Err(empty());
        }
        self.stack.pop().ok_or_else(empty)
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(empty)
    }

    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("its pickle closes a group that was never opened")?;
        if mark > self.stack.len() {
            return Err(empty());
        }
        Ok(self.stack.split_off(mark))
    }

    /// Items of a list; what else has items (a class of its own) is nothing a tensor is in.
    fn extend(&mut self, items: Vec<Id>) -> Result<(), String> {
        let top = self.top()?;
        if let Some(Value::List(list)) = self.values.get_mut(top) {
            list.extend(items);
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("its pickle has a key without a value".into());
        }
        let top = self.top()?;
        if let Some(Value::Dict(dict)) = self.values.get_mut(top) {
            dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
        }
        Ok(())
    }
}

fn empty() -> String {
    "its pickle takes from an empty stack".into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        Pickle::read(bytes).unwrap_err()
    }

    #[test]
    fn a_dict_keeps_its_keys_and_values() {
        // pickle.dumps({"a": 7, "b": (1000, [None])}, 2)
        let bytes =
            b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01K\x07X\x01\x00\x00\x00bq\x02M\xe8\x03]q\x03Na\x86q\x04u.";
        let pickle = Pickle::read(bytes).unwrap();
        let Value::Dict(pairs) = pickle.get(pickle.root()) else { panic!("{pickle:?}") };
        assert!(matches!(pickle.get(pairs[0].0), Value::Text("a")));
        assert!(matches!(pickle.get(pairs[0].1), Value::Int(7)));
        let Value::Tuple(items) = pickle.get(pairs[1].1) else { panic!("{pickle:?}") };
        assert!(matches!(pickle.get(items[0]), Value::Int(1000)));
        assert!(matches!(pickle.get(items[1]), Value::List(list) if list.len() == 1));
    }

    #[test]
    fn protocol_4_is_read_like_protocol_2() {
        // A Pickler of protocol 4 whose persistent_id gives ("storage", OrderedDict, "0"), on {"w": ..., "again": "w"}.
        let bytes = b"\x80\x04\x95B\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01w\x94\x8c\x07storage\x94\x8c\x0bcollections\x94\
            \x8c\x0bOrderedDict\x94\x93\x94\x8c\x010\x94\x87\x94Q\x8c\x05again\x94h\x01u.";
        let pickle = Pickle::read(bytes).unwrap();
        let Value::Dict(pairs) = pickle.get(pickle.root()) else { panic!("{pickle:?}") };
        assert!(matches!(pickle.get(pairs[0].0), Value::Text("w")));
        let Value::Persistent(id) = pickle.get(pairs[0].1) else { panic!("{pickle:?}") };
        let Value::Tuple(items) = pickle.get(*id) else { panic!("{pickle:?}") };
        assert!(matches!(pickle.get(items[1]), Value::Global("collections", "OrderedDict")));
        assert_eq!(pairs[1].1, pairs[0].0, "the memo gives the first text back");
    }

    #[test]
    fn a_call_is_described_and_never_made() {
        let bytes = b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00exit\x85R.";
        let pickle = Pickle::read(bytes).unwrap();
        let Value::Call(callable, _) = pickle.get(pickle.root()) else { panic!("{pickle:?}") };
        assert!(matches!(pickle.get(*callable), Value::Global("posix", "system")));
    }

    #[test]
    fn malformed_pickles_are_refused_in_words() {
        assert!(refusal(b"").contains("ends"));
        assert!(refusal(b"\x80\x02.").contains("empty stack"));
        assert!(refusal(b"\x80\x02X\xff\xff\xff\xffabc").contains("ends"));
        assert!(refusal(b"\x80\x02}(K\x01u.").contains("key without a value"));
        assert!(refusal(b"\x80\x02Nt.").contains("never opened"));
        assert!(refusal(b"\x80\x02h\x07.").contains("no entry 7"));
        assert!(refusal(b"\x80\x02N(a.").contains("empty stack"));
        assert!(refusal(b"\x80\x02K\x01\x87.").contains("empty stack"));
        assert!(refusal(b"\x80\x05N.").contains("protocol 5"));
        assert!(refusal(b"\x80\x02\xff.").contains("0xff"));
        assert!(refusal(b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.").contains("ends"));
        assert!(refusal(b"\x80\x04K\x01K\x02\x93.").contains("no text"));
        assert!(refusal(b"\x80\x04\x94.").contains("empty stack"));
        assert!(refusal(b"\x80\x02cno\nend").contains("ends"));
    }

    #[test]
    fn doubling_and_nesting_cost_only_their_bytes() {
        // t = (t, t) thirty times over would be a billion values if values were copied.
        let mut doubling = b"\x80\x02N".to_vec();
        for _ in 0..30 {
            doubling.extend(b"q\x00h\x00\x86");
        }
        doubling.push(b'.');
        assert!(Pickle::read(&doubling).unwrap().values.len() < 100);
        // A million tuples in each other: nothing here recurses, not even the end of their lives.
        let mut deep = b"\x80\x02N".to_vec();
        deep.extend(std::iter::repeat_n(0x85, 1_000_000));
        deep.push(b'.');
        drop(Pickle::read(&deep).unwrap());
        // A list in itself.
        assert!(Pickle::read(b"\x80\x02]q\x00h\x00a.").is_ok());
    }
}
