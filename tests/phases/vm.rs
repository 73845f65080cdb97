//! A VM with the module, and its callbacks.

use std::sync::OnceLock;

use wasmi::{Engine, Instance, Linker, Module, Store, WasmParams, WasmResults};

use super::host::{Action, Host};
use super::rules::Callback;
use super::world::SharedWorld;
use super::{calls, engine, stream_calls, wasi};

pub(crate) struct Vm {
    store: Store<Host>,
    instance: Instance,
}

/// The built filter, translated once for all tests.
fn filter() -> &'static (Engine, Module) {
    static FILTER: OnceLock<(Engine, Module)> = OnceLock::new();
    FILTER.get_or_init(|| {
        let file = std::env::var("SLUICEGATE_WASM").expect("SLUICEGATE_WASM: use `make phases`");
        let bytes = std::fs::read(&file).unwrap_or_else(|why| panic!("{file}: {why}"));
        let engine = Engine::default();
        let module = Module::new(&engine, bytes).expect("a module");
        (engine, module)
    })
}

impl Vm {
    /// A VM with the built filter, which has begun.
    pub(crate) fn of_the_filter(world: &SharedWorld) -> Self {
        let (engine, module) = filter();
        Self::start(engine, module, world).expect("the filter starts")
    }

    /// A VM with a module, as text or as bytes.
    ///
    /// # Errors
    /// If it breaks a rule at its start.
    pub(crate) fn of(module: &str, world: &SharedWorld) -> Result<Self, String> {
        let engine = Engine::default();
        let module = Module::new(&engine, module).expect("a module");
        Self::start(&engine, &module, world)
    }

    fn start(engine: &Engine, module: &Module, world: &SharedWorld) -> Result<Self, String> {
        let mut linker = Linker::new(engine);
        calls::link(&mut linker)
            .and_then(|()| stream_calls::link(&mut linker))
            .and_then(|()| engine::link(&mut linker))
            .and_then(|()| wasi::link(&mut linker))
            .expect("each import once");
        let mut store = Store::new(engine, Host::new(world));
        let instance = linker
            .instantiate_and_start(&mut store, module)
            .map_err(|why| why.to_string())?;
        let mut vm = Self { store, instance };
        vm.call::<_, ()>(Callback::Start, 0, ())?;
        Ok(vm)
    }

    pub(crate) fn host(&self) -> &Host {
        self.store.data()
    }

    pub(crate) fn host_mut(&mut self) -> &mut Host {
        self.store.data_mut()
    }

    /// The size of the module's memory in pages.
    pub(crate) fn pages(&self) -> u64 {
        let memory = self.instance.get_memory(&self.store, "memory");
        memory.map_or(0, |memory| memory.size(&self.store))
    }

    /// Calls back, if the module wants that; `None` if it does not.
    ///
    /// # Errors
    /// The rule that the callback breaks, or how it traps.
    pub(crate) fn call<P: WasmParams, R: WasmResults>(
        &mut self,
        callback: Callback,
        context: u32,
        parameters: P,
    ) -> Result<Option<R>, String> {
        let name = callback.export();
        let Some(function) = self.instance.get_func(&self.store, name) else {
            return Ok(None);
        };
        let function = function
            .typed::<P, R>(&self.store)
            .map_err(|why| format!("{name}: {why}"))?;
        self.host_mut().begin(callback, context);
        let result = function.call(&mut self.store, parameters);
        self.host_mut().end();
        result.map(Some).map_err(|why| {
            let log = &self.host().log;
            let log = log[log.len().saturating_sub(3)..].join("\n  ");
            format!("{name}: {why}\n  {log}")
        })
    }

    /// Envoy's actions now that the callback has returned.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.host_mut().actions)
    }
}
