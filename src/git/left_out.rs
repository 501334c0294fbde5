//! The files that a sparse worktree leaves out (git-sparse-checkout(1)), as its index has them.

use gix::bstr::ByteSlice;
use gix::index::entry::{Flags, Mode};
use gix::objs::tree::EntryKind;

use super::error::store;
use super::{Error, History, ObjectId, Repository};

/// How many files are listed in all.
const MAX_FILES: usize = 100_000;

/// A file that git tracks and a sparse worktree does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name from the root of the worktree.
    pub path: String,
    /// Its bytes.
    pub id: ObjectId,
    /// Whether it is a link.
    pub is_link: bool,
}

impl Repository {
    /// The bytes of the file `path` if this worktree leaves it out.
    ///
    /// # Errors
    ///
    /// As [`History::left_out`], and if the bytes cannot be read.
    pub fn left_out_file(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let history = self.history()?;
        let is_on_the_way =
            |name: &str| name == path || name.ends_with('/') && path.starts_with(name);
        let found = history.left_out(is_on_the_way)?.pop();
        found.map(|file| history.read(file.id)).transpose()
    }
}

impl History {
    /// The files that the index has and this worktree leaves out, if they are `wanted`: that is asked
    /// of a folder of a sparse index, too, whose name ends in `/`. Submodules and names that are no
    /// UTF-8 are none of them.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the index or a tree of it cannot be read; [`Error::Damaged`] if there are
    /// more than 100,000.
    pub fn left_out(&self, wanted: impl Fn(&str) -> bool) -> Result<Vec<LeftOut>, Error> {
        let mut files = Vec::new();
        let Some(index) = self.index()? else { return Ok(files) };
        for entry in index.entries() {
            let Ok(path) = entry.path(&index).to_str() else { continue };
            if !entry.flags.contains(Flags::SKIP_WORKTREE) || !wanted(path) {
                continue;
            }
            // A sparse index has a folder in the place of all its files.
            match entry.mode {
                Mode::DIR => self.list_below(path, entry.id, &wanted, &mut files)?,
                Mode::COMMIT => {}
                mode => files.push(LeftOut {
                    path: path.to_owned(),
                    id: entry.id,
                    is_link: mode == Mode::SYMLINK,
                }),
            }
            if files.len() > MAX_FILES {
                return Err(too_many());
            }
        }
        Ok(files)
    }

    /// Lists the files of a tree, whose name `above` ends in `/`.
    fn list_below(
        &self,
        above: &str,
        tree: ObjectId,
        wanted: &impl Fn(&str) -> bool,
        files: &mut Vec<LeftOut>,
    ) -> Result<(), Error> {
        let refused =
            |error: &(dyn std::error::Error + 'static)| store("read", &tree.to_string(), error);
        let mut trees = vec![(above.to_owned(), tree)];
        while let Some((above, tree)) = trees.pop() {
            let tree = self.repo.find_tree(tree).map_err(|error| refused(&error))?;
            for entry in tree.iter() {
                let entry = entry.map_err(|error| refused(&error))?;
                let Ok(name) = entry.filename().to_str() else { continue };
                let (path, id) = (format!("{above}{name}"), entry.object_id());
                match entry.mode().kind() {
                    EntryKind::Tree => {
                        let path = path + "/";
                        trees.extend(wanted(&path).then_some((path, id)));
                    }
                    EntryKind::Commit => {}
                    kind if wanted(&path) => {
                        files.push(LeftOut { path, id, is_link: kind == EntryKind::Link });
                    }
                    _ => {}
                }
            }
            if files.len() + trees.len() > MAX_FILES {
                return Err(too_many());
            }
        }
        Ok(())
    }
}

fn too_many() -> Error {
    Error::Damaged {
        name: "the index".to_owned(),
        what: format!("it has more than {MAX_FILES} files of the bus that are not checked out"),
    }
}
