//! Components for tests: the samples, the hostile ones, and what is no framework at all. Building this crate builds
//! them. It is for tests alone: no program that is shipped depends on it.

/// The sample `hello`: the world `framework`, one task.
pub const HELLO: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-hello.wasm"));

/// The sample `counter`: the world `web-framework`, an HTTP API with durable state.
pub const COUNTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-counter.wasm"));

/// The sample `keeper`: the world `framework`, a task with a volume on a reservation.
pub const KEEPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-keeper.wasm"));

/// The world `web-framework`; misbehaves as its options say, see `guest-sdk/hostile`.
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-hostile.wasm"));

/// The world `framework`, and an import that no master has: `evil:host/thing`.
pub const EVIL: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-evil.wasm"));

/// `wasi:cli/command`: for module tasks, and a component of another world. Its arguments say what it does, see
/// `guest-sdk/command`.
pub const COMMAND: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mezzo-command.wasm"));

/// The first bytes of every component.
const COMPONENT_PREAMBLE: [u8; 8] = [0, b'a', b's', b'm', 0x0d, 0, 1, 0];

/// The number of a component's section that holds a core module.
const CORE_MODULE_SECTION: u8 = 1;

/// A core module, not a component.
pub fn core_module() -> Vec<u8> {
    wat("(module (func (export \"handle\")))")
}

/// A component that exports nothing and imports nothing.
pub fn empty_component() -> Vec<u8> {
    COMPONENT_PREAMBLE.to_vec()
}

/// Bytes that are no WebAssembly; the same for the same seed.
pub fn random_bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut byte = || {
        // xorshift: any bytes will do, as long as they do not begin with a preamble.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let mut bytes: Vec<u8> = (0..length).map(|_| byte()).collect();
    if let Some(first) = bytes.first_mut() {
        *first |= 0x80;
    }
    bytes
}

/// `hello`, cut off in the middle.
pub fn truncated() -> Vec<u8> {
    HELLO.get(..HELLO.len() / 2).unwrap_or_default().to_vec()
}

/// `hello` with a [`bomb`] in it: everything about it is in order but what it costs to compile.
pub fn compile_bomb(merges: usize) -> Vec<u8> {
    with_core_module(HELLO, &bomb(merges))
}

/// A component with one more core module at its end. Nothing refers to it, so that imports and exports stay as they
/// are, but it is validated and compiled like the others.
pub fn with_core_module(component: &[u8], module: &[u8]) -> Vec<u8> {
    let mut bytes = component.to_vec();
    bytes.push(CORE_MODULE_SECTION);
    leb128(&mut bytes, module.len());
    bytes.extend(module);
    bytes
}

/// A small core module that costs a compiler time and memory that grow with the square of `merges`: a function in
/// which each of as many variables may be changed by a branch of its own, and all of them are alive until the end.
pub fn bomb(merges: usize) -> Vec<u8> {
    let mut body = Vec::new();
    body.push(1);
    leb128(&mut body, merges);
    body.push(0x7f);
    for local in 1..=merges {
        // if (argument) local += argument
        body.extend([0x20, 0, 0x04, 0x40, 0x20]);
        leb128(&mut body, local);
        body.extend([0x20, 0, 0x6a, 0x21]);
        leb128(&mut body, local);
        body.push(0x0b);
    }
    body.extend([0x20, 0]);
    for local in 1..=merges {
        body.push(0x20);
        leb128(&mut body, local);
        body.push(0x6a);
    }
    body.push(0x0b);
    let mut code = vec![1];
    leb128(&mut code, body.len());
    code.extend(body);

    let mut module = vec![0, b'a', b's', b'm', 1, 0, 0, 0];
    // One type, i32 to i32; one function of it; exported as "f".
    module.extend([1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f]);
    module.extend([3, 2, 1, 0]);
    module.extend([7, 5, 1, 1, b'f', 0, 0]);
    module.push(10);
    leb128(&mut module, code.len());
    module.extend(code);
    module
}

fn leb128(to: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

fn wat(text: &str) -> Vec<u8> {
    match wat::parse_str(text) {
        Ok(bytes) => bytes,
        Err(error) => panic!("{error}"),
    }
}

#[cfg(test)]
mod tests;
