//! What `wit-bindgen` makes of `wit/`: the contract's types, the imported calls, and the macros that export an
//! implementation. Everything here is generated; the rest of the crate gives it a better face.
//!
//! Natively the types are real and the imported calls panic: tests run against [`crate::testing`] instead.
#![allow(clippy::all, missing_docs)]

/// The world `framework`: all types, the imports that every framework has, and the export of `scheduler`.
pub mod base {
    wit_bindgen::generate!({
        world: "framework",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_scheduler",
        default_bindings_module: "mezzo_sdk::bindings::base",
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize],
        additional_type_attributes: {
            "mezzo:framework/types@0.1.0/resources": [#[derive(Default)]],
        },
    });
}

/// What the world `web-framework` has beyond `framework`. The two are joined when the component is linked, so that a
/// framework without an HTTP API exports none.
pub mod web {
    wit_bindgen::generate!({
        inline: "
            package mezzo:sdk;
            world web-part {
                import mezzo:framework/streams@0.1.0;
                export mezzo:framework/web@0.1.0;
            }
        ",
        path: "../../wit",
        pub_export_macro: true,
        export_macro_name: "export_web_part",
        default_bindings_module: "mezzo_sdk::bindings::web",
        generate_all,
        additional_derives: [PartialEq, Eq],
        with: { "mezzo:framework/types@0.1.0": crate::bindings::base::mezzo::framework::types },
    });
}
