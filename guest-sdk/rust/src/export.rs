//! The macros that turn a [`crate::Framework`] into a component's exports. They do nothing outside of `wasm32`, so
//! that the same crate runs its unit tests natively.

/// Exports a [`crate::Framework`] as a component of the world `framework`.
#[macro_export]
macro_rules! export {
    ($framework:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            // So that the compiler sees it used, as it is in a component.
            let _ = <$framework as $crate::Framework>::start;
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::__export_parts!($framework, $crate::__private::PLAIN);
            $crate::bindings::base::export_scheduler!(Component with_types_in $crate::bindings::base);
        };
    };
}

/// Exports a [`crate::Web`] framework as a component of the world `web-framework`.
#[macro_export]
macro_rules! export_web {
    ($framework:ty) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            // So that the compiler sees it used, as it is in a component.
            let _ = <$framework as $crate::Framework>::start;
            let _ = <$framework as $crate::Web>::routes;
        };
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::__export_parts!($framework, $crate::__private::WITH_STREAMS);
            ::std::thread_local! {
                static ROUTER: $crate::web::Router<$framework> = <$framework as $crate::Web>::routes();
            }
            impl $crate::__private::WebGuest for Component {
                fn handle(now: u64, request: $crate::web::Request) -> $crate::web::Response {
                    ROUTER.with(|router| $crate::__private::request(&INSTANCE, router, now, request))
                }
            }
            $crate::bindings::base::export_scheduler!(Component with_types_in $crate::bindings::base);
            $crate::bindings::web::export_web_part!(Component with_types_in $crate::bindings::web);
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export_parts {
    ($framework:ty, $calls:expr) => {
        struct Component;
        ::std::thread_local! {
            static INSTANCE: $crate::__private::Holder<$framework> = const { $crate::__private::Holder::new(None) };
        }
        impl $crate::__private::SchedulerGuest for Component {
            fn start(now: u64, setup: $crate::types::Setup) -> ::std::result::Result<(), ::std::string::String> {
                $crate::__private::start(&INSTANCE, $calls, now, setup)
            }
            fn handle(now: u64, events: ::std::vec::Vec<$crate::types::Event>) {
                $crate::__private::handle(&INSTANCE, $calls, now, events)
            }
        }
    };
}

/// What the macros need. Not for use by hand.
#[doc(hidden)]
pub mod private {
    pub use crate::bindings::base::exports::mezzo::framework::scheduler::Guest as SchedulerGuest;
    pub use crate::bindings::web::exports::mezzo::framework::web::Guest as WebGuest;
    use crate::framework::{Framework, Instance, Web};
    use crate::host::{Calls, Imports};
    use crate::types::{Event, Setup};
    use crate::web::{Request, Response, Router};
    use std::cell::RefCell;
    use std::thread::LocalKey;

    /// Where a component keeps its one instance.
    pub type Holder<F> = RefCell<Option<Instance<F>>>;

    /// What a component of the world `framework` calls.
    pub const PLAIN: Calls<'static> = Calls {
        host: &Imports,
        streams: None,
    };

    /// What a component of the world `web-framework` calls.
    pub const WITH_STREAMS: Calls<'static> = Calls {
        host: &Imports,
        streams: Some(&Imports),
    };

    pub fn start<F: Framework>(
        holder: &'static LocalKey<Holder<F>>,
        calls: Calls<'static>,
        now: u64,
        setup: Setup,
    ) -> Result<(), String> {
        let instance = Instance::start(calls, now, setup)?;
        holder.set(Some(instance));
        Ok(())
    }

    pub fn handle<F: Framework>(
        holder: &'static LocalKey<Holder<F>>,
        calls: Calls<'static>,
        now: u64,
        events: Vec<Event>,
    ) {
        holder.with_borrow_mut(|instance| started(instance).handle(calls, now, events));
    }

    pub fn request<F: Web>(
        holder: &'static LocalKey<Holder<F>>,
        router: &Router<F>,
        now: u64,
        request: Request,
    ) -> Response {
        holder.with_borrow_mut(|instance| {
            started(instance).request(WITH_STREAMS, router, now, request)
        })
    }

    fn started<F>(instance: &mut Option<Instance<F>>) -> &mut Instance<F> {
        match instance {
            Some(instance) => instance,
            None => panic!("the master called before `start` had succeeded"),
        }
    }
}
