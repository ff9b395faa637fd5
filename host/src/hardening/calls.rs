//! Which system calls a process gives up: nothing here is needed by a worker, and each is a way on
//! for whoever got out of a sandbox.

use std::collections::BTreeMap;

use libc as sys;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads, sock_filter,
};

/// What a process still has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Everything but starting programs and administering the machine.
    Worker,
    /// Starts programs; nothing else that a worker could not.
    Helper,
    /// Computes with what it has open already.
    Compiler,
}

/// Administration of the machine, other processes, other kernels' interfaces.
const NEVER: &[i64] = &[
    sys::SYS_acct,
    sys::SYS_add_key,
    sys::SYS_adjtimex,
    sys::SYS_bpf,
    sys::SYS_chroot,
    sys::SYS_clock_adjtime,
    sys::SYS_clock_settime,
    sys::SYS_delete_module,
    sys::SYS_fanotify_init,
    sys::SYS_finit_module,
    sys::SYS_fsconfig,
    sys::SYS_fsmount,
    sys::SYS_fsopen,
    sys::SYS_fspick,
    sys::SYS_init_module,
    sys::SYS_io_uring_enter,
    sys::SYS_io_uring_register,
    sys::SYS_io_uring_setup,
    sys::SYS_kcmp,
    sys::SYS_kexec_file_load,
    sys::SYS_kexec_load,
    sys::SYS_keyctl,
    sys::SYS_mknodat,
    sys::SYS_mount,
    sys::SYS_mount_setattr,
    sys::SYS_move_mount,
    sys::SYS_name_to_handle_at,
    sys::SYS_nfsservctl,
    sys::SYS_open_by_handle_at,
    sys::SYS_open_tree,
    sys::SYS_perf_event_open,
    sys::SYS_personality,
    sys::SYS_pidfd_getfd,
    sys::SYS_pivot_root,
    sys::SYS_process_madvise,
    sys::SYS_process_vm_readv,
    sys::SYS_process_vm_writev,
    sys::SYS_ptrace,
    sys::SYS_quotactl,
    sys::SYS_reboot,
    sys::SYS_request_key,
    sys::SYS_setdomainname,
    sys::SYS_sethostname,
    sys::SYS_setns,
    sys::SYS_settimeofday,
    sys::SYS_swapoff,
    sys::SYS_swapon,
    sys::SYS_syslog,
    sys::SYS_umount2,
    sys::SYS_unshare,
    sys::SYS_userfaultfd,
    sys::SYS_vhangup,
];

#[cfg(target_arch = "x86_64")]
const NEVER_HERE: &[i64] = &[
    sys::SYS_ioperm,
    sys::SYS_iopl,
    sys::SYS_mknod,
    sys::SYS_modify_ldt,
    sys::SYS__sysctl,
    sys::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_HERE: &[i64] = &[];

/// Starting programs and processes.
const STARTING: &[i64] = &[sys::SYS_execve, sys::SYS_execveat];

#[cfg(target_arch = "x86_64")]
const STARTING_HERE: &[i64] = &[sys::SYS_fork, sys::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const STARTING_HERE: &[i64] = &[];

/// Everything that names a file or another process.
const REACHING: &[i64] = &[
    sys::SYS_accept,
    sys::SYS_accept4,
    sys::SYS_bind,
    sys::SYS_connect,
    sys::SYS_fchmodat,
    sys::SYS_fchownat,
    sys::SYS_kill,
    sys::SYS_linkat,
    sys::SYS_listen,
    sys::SYS_memfd_create,
    sys::SYS_mkdirat,
    sys::SYS_openat,
    sys::SYS_openat2,
    sys::SYS_pidfd_open,
    sys::SYS_pidfd_send_signal,
    sys::SYS_renameat2,
    sys::SYS_setrlimit,
    sys::SYS_socket,
    sys::SYS_socketpair,
    sys::SYS_symlinkat,
    sys::SYS_truncate,
    sys::SYS_unlinkat,
];

#[cfg(target_arch = "x86_64")]
const REACHING_HERE: &[i64] = &[
    sys::SYS_chmod,
    sys::SYS_chown,
    sys::SYS_creat,
    sys::SYS_link,
    sys::SYS_mkdir,
    sys::SYS_open,
    sys::SYS_rename,
    sys::SYS_renameat,
    sys::SYS_rmdir,
    sys::SYS_symlink,
    sys::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const REACHING_HERE: &[i64] = &[];

/// Addresses that brokers and guests have: UNIX, IPv4, IPv6; netlink, which resolvers ask.
const FAMILIES: &[i32] = &[sys::AF_UNIX, sys::AF_INET, sys::AF_INET6, sys::AF_NETLINK];

/// The kinds of namespace that `clone` could make.
const NAMESPACES: i32 = sys::CLONE_NEWCGROUP
    | sys::CLONE_NEWIPC
    | sys::CLONE_NEWNET
    | sys::CLONE_NEWNS
    | sys::CLONE_NEWPID
    | sys::CLONE_NEWUSER
    | sys::CLONE_NEWUTS;

/// Gives the calls up for good, in every thread of this process and in all it will start.
pub(crate) fn give_up(role: Role) -> Result<(), String> {
    for program in programs(role)? {
        apply_filter_all_threads(&program).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn programs(role: Role) -> Result<Vec<BpfProgram>, String> {
    let mut programs = vec![filter(&refused(role)?, sys::EPERM)?];
    if role != Role::Helper {
        // Its flags are in memory, where no filter looks: without it the C library uses `clone`.
        let unknown = BTreeMap::from([(sys::SYS_clone3, vec![])]);
        programs.push(filter(&unknown, sys::ENOSYS)?);
    }
    if cfg!(target_arch = "x86_64") {
        programs.push(one_numbering());
    }
    Ok(programs)
}

fn filter(rules: &BTreeMap<i64, Vec<SeccompRule>>, errno: i32) -> Result<BpfProgram, String> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|e| e.to_string())?;
    let refuse = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules.clone(), SeccompAction::Allow, refuse, arch)
        .and_then(BpfProgram::try_from)
        .map_err(|e| e.to_string())
}

/// Calls and the conditions under which they are refused; none is always.
fn refused(role: Role) -> Result<BTreeMap<i64, Vec<SeccompRule>>, String> {
    let mut lists = vec![NEVER, NEVER_HERE];
    if role != Role::Helper {
        lists.extend([STARTING, STARTING_HERE]);
    }
    if role == Role::Compiler {
        lists.extend([REACHING, REACHING_HERE]);
    }
    let always = lists.into_iter().flatten().map(|call| (*call, vec![]));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = always.collect();
    let wanted = |families: &[i32]| {
        let other = |family: &i32| argument(0, SeccompCmpOp::Ne, *family);
        rule(families.iter().map(other).collect())
    };
    rules.entry(sys::SYS_socket).or_insert(vec![wanted(FAMILIES)?]);
    // Typing into the terminal of whoever started us.
    let stuff = argument(1, SeccompCmpOp::Eq, sys::TIOCSTI as i32);
    rules.insert(sys::SYS_ioctl, vec![rule(vec![stuff])?]);
    if role != Role::Helper {
        let is_set = |flag: i32| SeccompCmpOp::MaskedEq(flag.unsigned_abs().into());
        let process = argument(0, is_set(sys::CLONE_THREAD), 0);
        let mut clone = vec![rule(vec![process])?];
        for bit in (0..31).map(|bit| 1 << bit).filter(|bit| NAMESPACES & bit != 0) {
            clone.push(rule(vec![argument(0, is_set(bit), bit)])?);
        }
        rules.insert(sys::SYS_clone, clone);
    }
    if role == Role::Compiler {
        // Asking for limits is fine, setting them is not.
        let set = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0);
        rules.insert(sys::SYS_prlimit64, vec![rule(vec![set.map_err(|e| e.to_string())])?]);
    }
    Ok(rules)
}

fn argument(at: u8, compare: SeccompCmpOp, value: i32) -> Result<SeccompCondition, String> {
    let value = u64::from(value.cast_unsigned());
    SeccompCondition::new(at, SeccompCmpArgLen::Dword, compare, value).map_err(|e| e.to_string())
}

/// Refused if all of these hold.
fn rule(conditions: Vec<Result<SeccompCondition, String>>) -> Result<SeccompRule, String> {
    let conditions = conditions.into_iter().collect::<Result<_, _>>()?;
    SeccompRule::new(conditions).map_err(|e| e.to_string())
}

/// Refuses calls by the numbers of x32, which would get past a filter that compares the others.
fn one_numbering() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    const RETURN: u16 = (sys::BPF_RET | sys::BPF_K) as u16;
    let step = |code: u32, jt: u8, jf: u8, k: u32| sock_filter { code: code as u16, jt, jf, k };
    vec![
        // The number is the first word of what the filter sees.
        step(sys::BPF_LD | sys::BPF_W | sys::BPF_ABS, 0, 0, 0),
        step(sys::BPF_JMP | sys::BPF_JGE | sys::BPF_K, 0, 1, X32),
        step(RETURN.into(), 0, 0, sys::SECCOMP_RET_ERRNO | sys::ENOSYS.unsigned_abs()),
        step(RETURN.into(), 0, 0, sys::SECCOMP_RET_ALLOW),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_can_do_less_than_the_one_before() {
        let count = |role| refused(role).expect("the rules are sound").len();
        assert!(count(Role::Helper) < count(Role::Worker));
        assert!(count(Role::Worker) < count(Role::Compiler));
    }

    #[test]
    fn every_filter_is_one_that_the_kernel_takes() {
        // The kernel takes 4,096 instructions.
        for role in [Role::Helper, Role::Worker, Role::Compiler] {
            for program in programs(role).expect("the filters compile") {
                assert!((4..4096).contains(&program.len()), "{role:?}: {}", program.len());
            }
        }
    }
}
