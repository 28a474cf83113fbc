//! Where a job is kept in the durable state, in keys that change at different paces.
//!
//! | key | value | written |
//! |---|---|---|
//! | `next` | the number of the next job | at each submit |
//! | `job/N` | [`Record`], JSON | when it changes: a handful of times |
//! | `spec/N` | [`Spec`], JSON | once; removed at the end |
//! | `args/N/P` | `TaskArgs` of 64 indexes, JSON | once; removed at the end |
//! | `page/N/P` | [`Progress`] of 128 indexes | in each turn that changes one of them |

use crate::job::{Job, Record};
use crate::progress::{self, PAGE, Progress};
use crate::spec::{Spec, TaskArgs};
use mezzo_sdk::Cx;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Indexes whose arguments share one key.
const ARGS_PAGE: usize = 64;

fn job_key(number: u64) -> String {
    format!("job/{number:016}")
}

fn spec_key(number: u64) -> String {
    format!("spec/{number:016}")
}

fn args_key(number: u64, page: usize) -> String {
    format!("args/{number:016}/{page:06}")
}

fn page_key(number: u64, page: usize) -> String {
    format!("page/{number:016}/{page:06}")
}

/// Reads every job.
pub fn load(cx: &Cx<'_>) -> Result<BTreeMap<u64, Job>, String> {
    let mut tasks: BTreeMap<u64, Vec<Progress>> = BTreeMap::new();
    let mut records: BTreeMap<u64, Record> = BTreeMap::new();
    for (key, bytes) in cx.state_scan("job/") {
        let number = last_number(&key)?;
        let record: Record = read(&key, &bytes)?;
        tasks.insert(number, vec![Progress::default(); record.count as usize]);
        records.insert(number, record);
    }
    for (key, bytes) in cx.state_scan("page/") {
        let (job, page) = key
            .rsplit_once('/')
            .ok_or_else(|| format!("`{key}` is no page's key"))?;
        let (number, page) = (last_number(job)?, last_number(page)? as usize);
        let all = tasks
            .get_mut(&number)
            .ok_or_else(|| format!("`{key}` is of no job"))?;
        let page = all
            .chunks_mut(PAGE)
            .nth(page)
            .ok_or_else(|| format!("`{key}` is beyond the job's end"))?;
        progress::decode(&bytes, page).map_err(|error| format!("`{key}`: {error}"))?;
    }
    let mut specs: BTreeMap<u64, Spec> = BTreeMap::new();
    for (key, bytes) in cx.state_scan("spec/") {
        specs.insert(last_number(&key)?, read(&key, &bytes)?);
    }
    let jobs = records.into_iter().map(|(number, record)| {
        let spec = specs.remove(&number);
        if record.ended_ms.is_none() && spec.is_none() {
            return Err(format!("the description of job j{number} is missing"));
        }
        let tasks = tasks.remove(&number).unwrap_or_default();
        Ok((number, Job::restored(number, record, spec, tasks)))
    });
    jobs.collect()
}

/// Writes a new job's description and arguments; [`save`] writes the rest. A value that the master does not take
/// (its quota is full) panics: the submit is undone and answers 500.
pub fn save_spec(cx: &mut Cx<'_>, number: u64, spec: &[u8], args: &[Vec<u8>]) {
    put(cx, &spec_key(number), spec);
    for (page, bytes) in args.iter().enumerate() {
        put(cx, &args_key(number, page), bytes);
    }
}

/// The arguments as they are kept, page by page.
pub fn encode_args(args: &[TaskArgs]) -> Vec<Vec<u8>> {
    args.chunks(ARGS_PAGE).map(|page| to_json(&page)).collect()
}

/// The description as it is kept.
pub fn encode_spec(spec: &Spec) -> Vec<u8> {
    to_json(spec)
}

/// Writes what changed of a job. At its end the description goes.
pub fn save(cx: &mut Cx<'_>, job: &mut Job) {
    for page in job.take_dirty_pages() {
        put(
            cx,
            &page_key(job.number, page as usize),
            &progress::encode(job.page(page)),
        );
    }
    if job.take_dirty_record() {
        put(cx, &job_key(job.number), &to_json(&job.record));
        if job.has_ended() {
            cx.state_delete(&spec_key(job.number));
            delete_args(cx, job);
        }
    }
}

/// Removes a job that has ended.
pub fn forget(cx: &mut Cx<'_>, job: &Job) {
    cx.state_delete(&job_key(job.number));
    for page in 0..job.tasks().len().div_ceil(PAGE) {
        cx.state_delete(&page_key(job.number, page));
    }
}

fn delete_args(cx: &mut Cx<'_>, job: &Job) {
    if job.record.args_bytes > 0 {
        for page in 0..job.tasks().len().div_ceil(ARGS_PAGE) {
            cx.state_delete(&args_key(job.number, page));
        }
    }
}

/// The arguments of single indexes; the page that was read last is kept, since they are asked for in order.
#[derive(Debug, Default)]
pub struct ArgsReader {
    page: Option<(u64, usize, Vec<TaskArgs>)>,
}

impl ArgsReader {
    /// Those of one index. A page that is missing or unreadable is a broken state: it panics, as nothing right can be
    /// launched then.
    pub fn get(&mut self, cx: &Cx<'_>, job: u64, index: u32) -> TaskArgs {
        let (page, at) = (index as usize / ARGS_PAGE, index as usize % ARGS_PAGE);
        let is_other = |(own_job, own_page, _): &(u64, usize, Vec<TaskArgs>)| {
            (*own_job, *own_page) != (job, page)
        };
        if self.page.as_ref().is_none_or(is_other) {
            let key = args_key(job, page);
            let bytes = cx
                .state_get(&key)
                .unwrap_or_else(|| panic!("`{key}` is missing"));
            let args = read(&key, &bytes).unwrap_or_else(|error| panic!("{error}"));
            self.page = Some((job, page, args));
        }
        let args = self.page.as_ref().and_then(|(_, _, args)| args.get(at));
        args.cloned().unwrap_or_default()
    }
}

fn put(cx: &mut Cx<'_>, key: &str, bytes: &[u8]) {
    if let Err(reason) = cx.state_set(key, bytes) {
        panic!("what this turn changed cannot be kept: {reason}");
    }
}

fn last_number(key: &str) -> Result<u64, String> {
    let digits = key.rsplit_once('/').map_or(key, |(_, digits)| digits);
    digits
        .parse()
        .map_err(|_| format!("the key `{key}` has no number at its end"))
}

fn read<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("`{key}` cannot be read: {error}"))
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    match serde_json::to_vec(value) {
        Ok(bytes) => bytes,
        Err(error) => panic!("no JSON: {error}"),
    }
}
