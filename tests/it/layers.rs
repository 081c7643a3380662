//! The crate's imports run one way: no file imports itself through others, and no layer imports a higher one.
//!
//! The layers are the list in `src/lib.rs`: a line may import itself and the lines below it. The test reads the sources with
//! `syn`; what only tests use (`#[cfg(test)]`) does not count. A name that a `mod.rs` re-exports counts as an import of the
//! file that defines it. A file inside a module may use what the module's own file defines: the two are one idea.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// A path from the crate's root: `["video", "frame", "RgbFrame"]`.
type Names = Vec<String>;

/// One source file.
#[derive(Default)]
struct File {
    /// The paths it names, from the crate's root.
    uses: BTreeSet<Names>,
    /// What it re-exports: the name, and the path it comes from.
    exports: HashMap<String, Names>,
    /// Modules that it declares for tests alone.
    test_modules: Vec<Names>,
}

/// Collects the paths of one file.
struct Reader {
    /// The module at the point that is read.
    module: Names,
    /// The names of the modules that the file declares, which a `use` may begin with.
    children: Vec<String>,
    file: File,
}

fn only_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        a.path().is_ident("cfg")
            && a.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    })
}

impl Reader {
    /// The path from the crate's root; `None` for a path into another crate.
    fn path_from_root(&self, path: &[String]) -> Option<Names> {
        let mut base = self.module.clone();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {}
            Some(name) if self.children.iter().any(|child| child == name) => {}
            _ => return None,
        }
        while rest.first().is_some_and(|name| name == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    fn read_tree(&mut self, before: &[String], tree: &syn::UseTree, exported: bool) {
        let with = |name: String| [before, &[name]].concat();
        let (path, name) = match tree {
            syn::UseTree::Path(path) => {
                return self.read_tree(&with(path.ident.to_string()), &path.tree, exported);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.read_tree(before, item, exported));
                return;
            }
            syn::UseTree::Name(name) if name.ident == "self" => (before.to_vec(), None),
            syn::UseTree::Name(name) => (with(name.ident.to_string()), Some(name.ident.to_string())),
            syn::UseTree::Rename(rename) => (with(rename.ident.to_string()), Some(rename.rename.to_string())),
            syn::UseTree::Glob(_) => (before.to_vec(), None),
        };
        let Some(path) = self.path_from_root(&path) else { return };
        match name.filter(|_| exported) {
            Some(name) => drop(self.file.exports.insert(name, path)),
            None => drop(self.file.uses.insert(path)),
        }
    }
}

impl<'a> Visit<'a> for Reader {
    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        if !only_for_tests(&item.attrs) {
            self.read_tree(&[], &item.tree, !matches!(item.vis, syn::Visibility::Inherited));
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        let mut path = self.module.clone();
        path.push(item.ident.to_string());
        match (only_for_tests(&item.attrs), &item.content) {
            (true, None) => self.file.test_modules.push(path),
            (false, Some(_)) => {
                let outside = std::mem::replace(&mut self.module, path);
                visit::visit_item_mod(self, item);
                self.module = outside;
            }
            _ => {}
        }
    }

    fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
        if !only_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let names: Names = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1
            && let Some(path) = self.path_from_root(&names)
        {
            self.file.uses.insert(path);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        let text = call.tokens.to_string().replace(' ', "");
        for (at, root) in text.match_indices("crate::").chain(text.match_indices("super::")) {
            if text[..at].ends_with(|before: char| before.is_alphanumeric() || "_:".contains(before)) {
                continue;
            }
            let rest = &text[at + root.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(rest.len());
            let names = root.trim_end_matches(':');
            let names: Names =
                std::iter::once(names).chain(rest[..end].split("::")).map(ToString::to_string).collect();
            self.file.uses.extend(self.path_from_root(&names));
        }
        visit::visit_macro(self, call);
    }
}

/// The module that a file is, from the crate's root; empty for `lib.rs`.
fn module_of(root: &Path, file: &Path) -> Names {
    let path = file.strip_prefix(root).unwrap().with_extension("");
    let mut names: Names = path.iter().map(|name| name.to_str().unwrap().to_string()).collect();
    if names.last().is_some_and(|name| name == "mod" || name == "lib") {
        names.pop();
    }
    names
}

/// All files of the crate, by their modules.
fn sources(root: &Path) -> BTreeMap<Names, File> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root) {
        let path = entry.unwrap().into_path();
        if path.extension().is_none_or(|e| e != "rs") || path == root.join("main.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let children = parsed.items.iter().filter_map(|item| match item {
            syn::Item::Mod(item) => Some(item.ident.to_string()),
            _ => None,
        });
        let module = module_of(root, &path);
        let mut reader =
            Reader { module: module.clone(), children: children.collect(), file: File::default() };
        reader.visit_file(&parsed);
        files.insert(module, reader.file);
    }
    let for_tests: Vec<Names> = files.values().flat_map(|file| file.test_modules.clone()).collect();
    files.retain(|module, _| !for_tests.iter().any(|test| module.starts_with(test)));
    files
}

/// The file that defines what a path names.
fn defined_in(files: &BTreeMap<Names, File>, path: &[String]) -> Names {
    let mut path = path.to_vec();
    // A re-export may lead to another one.
    for _ in 0..8 {
        let length = (0..=path.len()).rev().find(|&n| files.contains_key(&path[..n])).unwrap_or(0);
        let (module, rest) = path.split_at(length);
        let exported = rest.first().and_then(|name| files[module].exports.get(name));
        match exported {
            Some(source) => path = [&source[..], &rest[1..]].concat(),
            None => return module.to_vec(),
        }
    }
    panic!("{}: re-exported in a circle", path.join("::"));
}

/// Which files each file imports.
fn imports(files: &BTreeMap<Names, File>) -> BTreeMap<Names, BTreeSet<Names>> {
    let of = |(module, file): (&Names, &File)| {
        let mut to: BTreeSet<Names> = file.uses.iter().map(|path| defined_in(files, path)).collect();
        to.retain(|to| !module.starts_with(to));
        (module.clone(), to)
    };
    files.iter().map(of).collect()
}

/// A circle of imports, if there is one: the first file stands at both ends.
fn circle(imports: &BTreeMap<Names, BTreeSet<Names>>) -> Option<Vec<Names>> {
    fn visit<'a>(
        at: &'a Names,
        imports: &'a BTreeMap<Names, BTreeSet<Names>>,
        way: &mut Vec<&'a Names>,
        done: &mut BTreeSet<&'a Names>,
    ) -> Option<Vec<Names>> {
        if let Some(first) = way.iter().position(|&known| known == at) {
            return Some(way[first..].iter().copied().chain([at]).cloned().collect());
        }
        if !done.contains(at) {
            way.push(at);
            for to in &imports[at] {
                if let Some(found) = visit(to, imports, way, done) {
                    return Some(found);
                }
            }
            way.pop();
            done.insert(at);
        }
        None
    }
    let mut done = BTreeSet::new();
    imports.keys().find_map(|module| visit(module, imports, &mut Vec::new(), &mut done))
}

/// The layer of each top-level module, from 0 at the top, by the list in `lib.rs`.
fn layers(lib: &str) -> HashMap<String, usize> {
    let lines = lib.lines().filter_map(|line| line.strip_prefix("//! - "));
    let names = |line: &str| {
        let list = line.split_once("]:").map_or(line, |(list, _)| list).to_string() + "]";
        let names =
            list.split('[').skip(1).filter_map(|part| part.split(']').next().map(ToString::to_string));
        names.map(|name| name.trim_matches('`').trim_start_matches("mod@").to_string()).collect::<Vec<_>>()
    };
    lines
        .map(names)
        .enumerate()
        .flat_map(|(layer, names)| names.into_iter().map(move |n| (n, layer)))
        .collect()
}

/// The imports that run upwards.
fn upwards(imports: &BTreeMap<Names, BTreeSet<Names>>, layers: &HashMap<String, usize>) -> Vec<String> {
    let layer = |module: &Names| {
        let top = module.first().unwrap();
        *layers.get(top).unwrap_or_else(|| panic!("the list in src/lib.rs lacks the module {top}"))
    };
    let pairs = imports
        .iter()
        .filter(|(from, _)| !from.is_empty())
        .flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let wrong = pairs.filter(|(from, to)| layer(to) < layer(from));
    wrong.map(|(from, to)| format!("{} imports {}", from.join("::"), to.join("::"))).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn no_import_runs_in_a_circle_or_upwards() {
    let files = sources(&root());
    assert!(files.len() > 100, "only {} files were found", files.len());
    let imports = imports(&files);
    if let Some(circle) = circle(&imports) {
        let names: Vec<_> = circle.iter().map(|module| module.join("::")).collect();
        panic!("these files import each other in a circle: {}", names.join(" -> "));
    }
    let layers = layers(&std::fs::read_to_string(root().join("lib.rs")).unwrap());
    let wrong = upwards(&imports, &layers);
    assert!(wrong.is_empty(), "against the order of src/lib.rs:\n{}", wrong.join("\n"));
}

#[test]
fn circles_and_upward_imports_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("lib.rs", "//! - [`cli`]: commands\n//! - [`rows`]: rows\npub mod cli;\npub mod rows;\n");
    write("cli.rs", "use crate::rows::Row;\n");
    write("rows/mod.rs", "mod a;\nmod b;\npub use a::Row;\n");
    write(
        "rows/a.rs",
        "pub struct Row;\n#[cfg(test)]\nmod tests {\n use crate::cli;\n use super::super::b::B;\n}\n",
    );
    write("rows/b.rs", "use super::Row;\npub struct B(Row);\n");
    let read = || imports(&sources(dir.path()));
    let layers = layers(&std::fs::read_to_string(dir.path().join("lib.rs")).unwrap());
    assert_eq!(circle(&read()), None);
    assert!(upwards(&read(), &layers).is_empty());
    write("rows/a.rs", "pub struct Row;\nfn f() { println!(\"{}\", crate::cli::NAME) }\n");
    assert_eq!(upwards(&read(), &layers), ["rows::a imports cli"]);
    write("rows/a.rs", "use super::b::B;\npub struct Row;\n");
    assert!(circle(&read()).is_some_and(|circle| circle.len() == 3));
}
