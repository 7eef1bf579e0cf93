//! In the place of `machine` when the program is built without the feature `plugins`.

use super::Asked;
use super::request::Request;
use super::tables::Tables;

/// As there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) fuel: u64,
    pub(super) memory_bytes: usize,
    pub(super) block_bytes: usize,
}

/// There are none.
#[derive(Debug)]
pub(super) enum Program {}

/// There are none.
#[derive(Debug)]
pub(super) enum Machine {}

impl Program {
    pub(super) fn read(_file: &[u8]) -> Result<Self, String> {
        Err("this program was built without the feature `plugins`".to_owned())
    }
}

impl Machine {
    pub(super) fn start(program: &Program, _bounds: Bounds) -> Result<Self, String> {
        match *program {}
    }

    pub(super) fn rank(&mut self, _tables: &mut Tables, _request: &mut Request, _fuel: u64) -> Asked {
        match *self {}
    }
}
