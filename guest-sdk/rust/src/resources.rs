//! Arithmetic on [`Resources`]: what fits into what. All of it saturates, since a guest's sum must not wrap.

use crate::types::{CustomAmount, Resources};

impl Resources {
    /// Processor and memory, nothing else.
    pub fn new(cpu_milli: u64, memory_bytes: u64) -> Resources {
        Resources {
            cpu_milli,
            memory_bytes,
            ..Resources::default()
        }
    }

    /// How much there is of a custom resource, in thousandths; 0 when it is not named.
    pub fn custom_milli(&self, name: &str) -> u64 {
        self.custom
            .iter()
            .find(|amount| amount.name == name)
            .map_or(0, |amount| amount.amount_milli)
    }

    /// Whether `part` can be taken out of this.
    pub fn holds(&self, part: &Resources) -> bool {
        part.cpu_milli <= self.cpu_milli
            && part.memory_bytes <= self.memory_bytes
            && part.disk_bytes <= self.disk_bytes
            && part.gpus <= self.gpus
            && part.ports <= self.ports
            && part
                .custom
                .iter()
                .all(|amount| amount.amount_milli <= self.custom_milli(&amount.name))
    }

    /// Takes `part` out; what is not there stays at 0.
    pub fn take(&mut self, part: &Resources) {
        self.cpu_milli = self.cpu_milli.saturating_sub(part.cpu_milli);
        self.memory_bytes = self.memory_bytes.saturating_sub(part.memory_bytes);
        self.disk_bytes = self.disk_bytes.saturating_sub(part.disk_bytes);
        self.gpus = self.gpus.saturating_sub(part.gpus);
        self.ports = self.ports.saturating_sub(part.ports);
        for amount in &part.custom {
            if let Some(own) = self.custom.iter_mut().find(|own| own.name == amount.name) {
                own.amount_milli = own.amount_milli.saturating_sub(amount.amount_milli);
            }
        }
    }

    /// Adds `part`.
    pub fn add(&mut self, part: &Resources) {
        self.cpu_milli = self.cpu_milli.saturating_add(part.cpu_milli);
        self.memory_bytes = self.memory_bytes.saturating_add(part.memory_bytes);
        self.disk_bytes = self.disk_bytes.saturating_add(part.disk_bytes);
        self.gpus = self.gpus.saturating_add(part.gpus);
        self.ports = self.ports.saturating_add(part.ports);
        for amount in &part.custom {
            match self.custom.iter_mut().find(|own| own.name == amount.name) {
                Some(own) => {
                    own.amount_milli = own.amount_milli.saturating_add(amount.amount_milli)
                }
                None => self.custom.push(amount.clone()),
            }
        }
    }

    /// This, `count` times.
    pub fn times(&self, count: u64) -> Resources {
        let count_u32 = u32::try_from(count).unwrap_or(u32::MAX);
        Resources {
            cpu_milli: self.cpu_milli.saturating_mul(count),
            memory_bytes: self.memory_bytes.saturating_mul(count),
            disk_bytes: self.disk_bytes.saturating_mul(count),
            gpus: self.gpus.saturating_mul(count_u32),
            ports: self.ports.saturating_mul(count_u32),
            custom: self
                .custom
                .iter()
                .map(|amount| CustomAmount {
                    name: amount.name.clone(),
                    amount_milli: amount.amount_milli.saturating_mul(count),
                })
                .collect(),
        }
    }

    /// The smaller of the two, resource by resource.
    pub fn at_most(&self, cap: &Resources) -> Resources {
        Resources {
            cpu_milli: self.cpu_milli.min(cap.cpu_milli),
            memory_bytes: self.memory_bytes.min(cap.memory_bytes),
            disk_bytes: self.disk_bytes.min(cap.disk_bytes),
            gpus: self.gpus.min(cap.gpus),
            ports: self.ports.min(cap.ports),
            custom: self
                .custom
                .iter()
                .map(|amount| CustomAmount {
                    name: amount.name.clone(),
                    amount_milli: amount.amount_milli.min(cap.custom_milli(&amount.name)),
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn licences(milli: u64) -> Resources {
        Resources {
            custom: vec![CustomAmount {
                name: "licence".into(),
                amount_milli: milli,
            }],
            ..Resources::new(100, 10)
        }
    }

    #[test]
    fn a_custom_amount_counts_like_any_other() {
        let mut free = licences(2_000);
        assert!(free.holds(&licences(2_000)));
        assert!(!free.holds(&licences(2_001)));
        assert!(!Resources::new(100, 10).holds(&licences(1)));
        free.take(&licences(500));
        assert_eq!((free.custom_milli("licence"), free.cpu_milli), (1_500, 0));
        free.add(&licences(500));
        assert_eq!(free, licences(2_000));
    }

    #[test]
    fn sums_do_not_wrap() {
        let mut all = Resources::new(u64::MAX, 1);
        all.add(&Resources::new(1, 1));
        assert_eq!((all.cpu_milli, all.memory_bytes), (u64::MAX, 2));
        assert_eq!(Resources::new(2, 3).times(u64::MAX).cpu_milli, u64::MAX);
        assert_eq!(
            Resources::new(5, 1).at_most(&Resources::new(3, 9)),
            Resources::new(3, 1)
        );
    }
}
