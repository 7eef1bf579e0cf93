//! One plug-in in its interpreter (wasmi): no clock, no randomness, no files, nothing but its memory, the question, and rows of
//! tables. Every instruction costs fuel, so a bound on fuel bounds the time.

use super::Asked;
use super::order::Ranks;
use super::request::{Request, Subject};
use super::tables::Tables;
use asap::wire::HINT_BYTES_MAX;
use std::fmt;
use wasmi::{
    Caller, CompilationMode, Config, EnforcedLimits, Engine, Error, Extern, Linker, Memory, Module, Store, StoreLimits,
    StoreLimitsBuilder, TypedFunc,
};

/// WebAssembly's page.
const PAGE_BYTES: usize = 65_536;
/// What a row of a table costs; it is looked up in less time than so many instructions take.
const ROW_FUEL: u64 = 100;
/// Calls within calls.
const RECURSION_MAX: usize = 256;
/// Values of all calls within each other.
const STACK_BYTES_MAX: usize = 256 * 1024;
/// Entries of a module's function table.
const TABLE_ELEMENTS_MAX: usize = 4_096;
/// `rank` returns this when the order is in the records.
const RANKED: u32 = 0;
/// And this when the pool's own policy is to decide.
const DECLINED: u32 = 1;

/// What a plug-in may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Instructions at its start.
    pub(super) fuel: u64,
    /// Its whole memory.
    pub(super) memory_bytes: usize,
    /// Of that, for questions.
    pub(super) block_bytes: usize,
}

/// A plug-in, translated.
pub(super) struct Program(Module);

/// What the plug-in's functions of ours see.
struct World {
    limits: StoreLimits,
    tables: Tables,
    subjects: Vec<Subject>,
}

/// A plug-in that can be asked. After an error it is in no known state and not asked again.
pub(super) struct Machine {
    store: Store<World>,
    memory: Memory,
    rank: TypedFunc<(u32, u32), u32>,
    block: usize,
    block_bytes: u32,
}

impl Program {
    /// Reads WebAssembly, as text or binary.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        let binary = wat::parse_bytes(file).map_err(|error| error.to_string())?;
        let mut config = Config::default();
        config
            .consume_fuel(true)
            .ignore_custom_sections(true)
            .compilation_mode(CompilationMode::Eager)
            .wasm_multi_memory(false)
            .set_max_recursion_depth(RECURSION_MAX)
            .set_max_stack_height(STACK_BYTES_MAX)
            .enforced_limits(EnforcedLimits::strict());
        Module::new(&Engine::new(&config), &binary[..]).map(Self).map_err(|error| error.to_string())
    }
}

impl Machine {
    /// Starts the plug-in.
    ///
    /// # Errors
    /// What it has not, or wants too much of.
    pub(super) fn start(program: &Program, bounds: Bounds) -> Result<Self, String> {
        Self::try_start(&program.0, bounds).map_err(|error| error.to_string())
    }

    fn try_start(module: &Module, bounds: Bounds) -> Result<Self, Error> {
        let limits = StoreLimitsBuilder::new()
            .memory_size(bounds.memory_bytes)
            .table_elements(TABLE_ELEMENTS_MAX)
            .instances(1)
            .memories(1)
            .tables(1)
            .build();
        let world = World { limits, tables: Tables::default(), subjects: Vec::new() };
        let mut store = Store::new(module.engine(), world);
        store.limiter(|world| &mut world.limits);
        store.set_fuel(bounds.fuel)?;
        let mut linker = Linker::new(module.engine());
        linker.func_wrap("sigpool", "row", row)?;
        linker.func_wrap("sigpool", "element_row", element_row)?;
        let instance = linker.instantiate_and_start(&mut store, module)?;
        let no_memory = || Error::new("it exports no memory of the name `memory`");
        let memory = instance.get_memory(&store, "memory").ok_or_else(no_memory)?;
        let rank = instance
            .get_typed_func(&store, "rank")
            .map_err(|_| Error::new("it exports no function `rank` of two i32 with an i32 as result"))?;
        // Behind all the plug-in's own data: nothing in it has to make room.
        let pages = bounds.block_bytes.div_ceil(PAGE_BYTES);
        let before = memory
            .grow(&mut store, pages as u64)
            .map_err(|error| Error::new(format!("no room for {pages} pages of questions in its memory: {error}")))?;
        let block = usize::try_from(before).unwrap_or(usize::MAX).saturating_mul(PAGE_BYTES);
        let block_bytes = u32::try_from(pages * PAGE_BYTES).unwrap_or(u32::MAX);
        Ok(Self { store, memory, rank, block, block_bytes })
    }

    /// Asks for ranks.
    pub(super) fn rank(&mut self, tables: &mut Tables, request: &mut Request, fuel: u64) -> Asked {
        let world = self.store.data_mut();
        std::mem::swap(&mut world.tables, tables);
        std::mem::swap(&mut world.subjects, &mut request.subjects);
        let called = self.call(&request.bytes, fuel);
        let left = self.store.get_fuel().unwrap_or(0);
        let world = self.store.data_mut();
        std::mem::swap(&mut world.tables, tables);
        std::mem::swap(&mut world.subjects, &mut request.subjects);
        let ranks = called.map_err(|error| error.to_string()).and_then(|code| self.verdict(code, request));
        Asked { ranks, fuel: fuel.saturating_sub(left) }
    }

    fn call(&mut self, question: &[u8], fuel: u64) -> Result<u32, Error> {
        self.store.set_fuel(fuel)?;
        self.memory.write(&mut self.store, self.block, question).map_err(Error::from)?;
        let block = u32::try_from(self.block).unwrap_or(u32::MAX);
        self.rank.call(&mut self.store, (block, self.block_bytes))
    }

    fn verdict(&self, code: u32, request: &Request) -> Result<Option<Ranks>, String> {
        match code {
            RANKED => {
                let block = self.memory.data(&self.store).get(self.block..).unwrap_or_default();
                Ok(Some(request.ranks(block).collect()))
            }
            DECLINED => Ok(None),
            other => Err(format!("`rank` returned {}; it may return 0 or 1", other.cast_signed())),
        }
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("block", &self.block).finish_non_exhaustive()
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

/// `row(table, table length, key, key length, to, most) -> numbers in the row, or -1`.
fn row(
    mut caller: Caller<'_, World>,
    table: u32,
    table_length: u32,
    key: u32,
    key_length: u32,
    to: u32,
    most: u32,
) -> Result<i32, Error> {
    let (memory, world) = enter(&mut caller)?;
    let word = part(memory, key, key_length)?;
    let row = world.tables.row(part(memory, table, table_length)?, word);
    give(row, memory, to, most)
}

/// `element_row(table, table length, number of the element, to, most) -> numbers in the row, or -1`.
fn element_row(
    mut caller: Caller<'_, World>,
    table: u32,
    table_length: u32,
    index: u32,
    to: u32,
    most: u32,
) -> Result<i32, Error> {
    let (memory, world) = enter(&mut caller)?;
    let subject = usize::try_from(index).ok().and_then(|index| world.subjects.get(index));
    let subject = subject.ok_or_else(|| Error::new(format!("element {index} was not in the question")))?;
    let row = world.tables.element_row(part(memory, table, table_length)?, subject.pe, subject.address);
    give(row, memory, to, most)
}

/// Takes the price; gives the plug-in's memory and what it may see.
fn enter<'a>(caller: &'a mut Caller<'_, World>) -> Result<(&'a mut [u8], &'a mut World), Error> {
    let left = caller.get_fuel()?.saturating_sub(ROW_FUEL);
    caller.set_fuel(left)?;
    let memory = caller.get_export("memory").and_then(Extern::into_memory);
    let memory = memory.ok_or_else(|| Error::new("it exports no memory of the name `memory`"))?;
    Ok(memory.data_and_store_mut(caller))
}

/// A name or a key in the plug-in's memory.
fn part(memory: &[u8], at: u32, length: u32) -> Result<&[u8], Error> {
    let (at, length) = (at as usize, length as usize);
    if length > HINT_BYTES_MAX {
        return Ok(&[]);
    }
    memory.get(at..at + length).ok_or_else(|| Error::new(format!("{length} bytes at {at} are not in its memory")))
}

fn give(row: Option<&[i64]>, memory: &mut [u8], to: u32, most: u32) -> Result<i32, Error> {
    let Some(row) = row else { return Ok(-1) };
    let (to, count) = (to as usize, row.len().min(most as usize));
    let room = memory.get_mut(to..to + count * 8).ok_or_else(|| Error::new(format!("{to} is not in its memory")))?;
    for (place, value) in room.as_chunks_mut::<8>().0.iter_mut().zip(row) {
        *place = value.to_le_bytes();
    }
    Ok(i32::try_from(row.len()).unwrap_or(i32::MAX))
}
