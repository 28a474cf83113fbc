//! Typed numbers that name things. None is ever reused within one cluster, except [`SessionId`],
//! which lives as long as one master process.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// One machine that runs tasks.
    AgentId,
    /// An installed framework.
    FrameworkId,
    /// What one agent has free for one framework during one turn.
    OfferId,
    /// A part of an agent that is kept for a role.
    ReservationId,
    /// One launch of a task.
    Run,
    /// One call into a framework.
    TurnId,
    /// One live copy of a component in memory.
    InstanceId,
    /// One HTTP request to the master.
    RequestId,
    /// One batch of records; numbered from 1 without gaps.
    BatchId,
    /// One leadership; grows with each.
    Term,
    /// One connection of an agent to this master process.
    SessionId,
}
