"""A SLURM of two nodes on this one machine, for the tests. It uses nothing of another SLURM here, and leaves nothing.

``python -m tests.slurm_cluster`` says whether this machine can have one, and if not, why.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = ("one", "two")
_DAEMONS = ("munged", "slurmctld", "slurmd")
_COMMANDS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=30
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=1 RealMemory=2000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=1 RealMemory=2000
PartitionName=main Nodes=one,two Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=urgent Nodes=one,two MaxTime=INFINITE State=UP PriorityTier=2
"""
"""Jobs of the partition `urgent` take the machines of those of `main`."""


def why_not() -> str | None:
    """Why no SLURM can be started here; None where one can."""
    if sys.platform != "linux":
        return f"SLURM needs Linux, this is {sys.platform}"
    found = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    missing = [name for name in (*_DAEMONS, *_COMMANDS) if shutil.which(name, path=found) is None]
    if missing:
        return f"{', '.join(missing)} not installed; on Debian and Ubuntu: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "its daemons change to the user of a job, which needs root"
    return None


@contextmanager
def two_nodes(folder: Path) -> Iterator[None]:
    """Start it, let SLURM's commands of this process and its children find it, and stop it.

    Args:
        folder: for its files; made, and short enough for the path of a socket.

    Raises:
        RuntimeError: if it does not come up, with the end of its logs.
    """
    folder.mkdir(parents=True)
    (folder / "state").mkdir()
    key, configuration = folder / "munge.key", folder / "slurm.conf"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    configuration.write_text(
        _CONFIGURATION.format(host=socket.gethostname().partition(".")[0], ports=_free_ports(3), folder=folder)
    )
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ["SLURM_CONF"] = str(configuration)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    try:
        files = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid"}
        files |= {"log-file": "munge.log", "seed-file": "munge.seed"}
        slurm("munged", "--force", *(f"--{option}={folder / name}" for option, name in files.items()))
        slurm("slurmctld")
        for node in NODES:
            slurm("slurmd", "-N", node)
        try:
            until(lambda: slurm("sinfo", "--noheader", "--format=%D %T", "--partition=main") == "2 idle", seconds=60)
        except TimeoutError as error:
            raise RuntimeError(f"SLURM did not come up:\n{_ends_of_logs(folder)}") from error
        yield
    finally:
        subprocess.run(["scancel", "--full", "--user=root"], check=False, capture_output=True)
        for name in (*(f"slurmd-{node}.pid" for node in NODES), "slurmctld.pid", "munge.pid"):
            _end(folder / name)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def until(reached: Callable[[], object], seconds: float) -> None:
    """Wait until something is true.

    Raises:
        TimeoutError: if it does not become true.
    """
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds:.0f} s")
        time.sleep(0.2)


def slurm(*command: str) -> str:
    """What a command of SLURM prints.

    Raises:
        RuntimeError: if it fails, with its words.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def _end(pid_file: Path) -> None:
    if not pid_file.is_file():
        return
    pid = int(pid_file.read_text())
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, wanted)
            until(lambda: not Path(f"/proc/{pid}").exists(), seconds=20)
        except ProcessLookupError:
            return
        except TimeoutError:
            continue
        return


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _ends_of_logs(folder: Path) -> str:
    return "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in sorted(folder.glob("*.log")))


if __name__ == "__main__":
    reason = why_not()
    if reason is not None:
        sys.exit(f"No SLURM can be started on this machine: {reason}")
