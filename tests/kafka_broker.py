"""A real Apache Kafka for the tests, without Docker: its jars come from Maven, one Java process runs them."""

import base64
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    TopicMetadata,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_PROTOCOLS = {"MUTUAL": "SSL"}
"""The protocols of listeners that have a name of their own."""
Isolation = Literal["read_committed", "read_uncommitted"]

_HERE = Path(__file__).parent / "broker" / "kafka"
_OR_YOURS = "or name a broker of yours in CLAIMSCRUB_TEST_BOOTSTRAP_SERVERS"
_NEEDS_JAVA = f"the tests' Kafka broker needs Java: install a JRE 17 or newer, {_OR_YOURS}"
_NEEDS_MAVEN = f"the tests' Kafka broker is fetched with Maven: install Maven (the command mvn), {_OR_YOURS}"
_QUIET = {"log_level": 0}  # a broker that is not up yet is no news worth printing

# Java runs in the place of this shell. The subshell beside it reads a pipe whose other end only we hold: when we are
# gone, even by kill -9, it comes to the end of the pipe and kills Java. PR_SET_PDEATHSIG could do this on Linux, but it
# fires when the *thread* that started the broker ends, and needs code of ours between fork and exec.
_WITH_WATCHER = 'exec 3<&0; (read -r _ <&3; kill -9 $$) & exec "$@" </dev/null 3<&-'


class Cluster:
    """What tests ask of any Kafka cluster, ours or the user's.

    Each call uses a client of its own: a kept one would have to find back to a broker that was killed in between.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def create_topics(self, partitions: Mapping[str, int], **config: str) -> None:
        """Make each topic with its number of partitions and wait until all of them have a leader."""
        admin = self._admin()
        wanted = [NewTopic(name, count, config=config) for name, count in partitions.items()]
        for created in admin.create_topics(wanted).values():
            created.result()
        deadline = time.monotonic() + 30
        while True:
            known = admin.list_topics(timeout=10).topics
            if all(name in known and _led(known[name]) == count for name, count in partitions.items()):
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"no leader for every partition of {sorted(partitions)} within 30 s")
            time.sleep(0.02)

    def end_offsets(self, topic: str, isolation: Isolation = "read_uncommitted") -> dict[int, int]:
        """The offset after the last record per partition; with read_committed, before the first open transaction."""
        admin = self._admin()
        known = admin.list_topics(timeout=10).topics
        if topic not in known:
            raise LookupError(f"there is no topic {topic!r}")
        latest = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in known[topic].partitions}
        deadline = time.monotonic() + 30
        while True:
            found = admin.list_offsets(latest, isolation_level=IsolationLevel[isolation.upper()], request_timeout=10)
            try:
                return {asked.partition: answer.result().offset for asked, answer in found.items()}
            except KafkaException as error:
                # A partition just made has a leader in the metadata a moment before that leader knows.
                if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def wait_until_stable(self, *topics: str, timeout: float = 30) -> None:
        """Wait until no transaction is open on topics: its end reaches one partition after the other."""
        deadline = time.monotonic() + timeout
        while unstable := [
            each for each in topics if self.end_offsets(each) != self.end_offsets(each, "read_committed")
        ]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"transactions are still open in {unstable}")
            time.sleep(0.05)

    def read_all(self, topic: str, timeout: float = 30, isolation: Isolation = "read_committed") -> list[Message]:
        """Every record up to the end offsets at the time of the call, ordered by partition and offset."""
        records = self.read(topic, timeout, isolation)
        return sorted(records, key=lambda message: (message.partition(), message.offset()))

    def read(self, topic: str, timeout: float = 30, isolation: Isolation = "read_committed") -> Iterator[Message]:
        """The same records one by one, for more than fit into memory: in order within each partition."""
        ends = self.end_offsets(topic, isolation)
        behind = {partition for partition, end in ends.items() if end > 0}
        read = 0
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": "tests-read-all",  # required, but nothing joins or commits: the partitions are assigned
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",  # where the first offset isn't 0 any more
                "isolation.level": isolation,
                # The last offsets may be markers or aborted records, which are never delivered: only this event tells.
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 20,
            }
        )
        try:
            consumer.assign([TopicPartition(topic, partition, 0) for partition in behind])
            deadline = time.monotonic() + timeout
            while behind:
                if time.monotonic() > deadline:
                    done = f"{read} records of {topic} read in {timeout} s"
                    raise TimeoutError(f"{done}, but not to the end of partitions {sorted(behind)}")
                for message in consumer.consume(1000, 0.1):
                    partition, error = message.partition(), message.error()
                    if error is None:
                        if message.offset() < ends[partition]:
                            read += 1
                            yield message
                        if message.offset() >= ends[partition] - 1:
                            behind.discard(partition)
                    elif error.code() == KafkaError._PARTITION_EOF:
                        behind.discard(partition)
                    else:
                        raise KafkaException(error)
        finally:
            consumer.close()

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers, **_QUIET})


class KafkaBroker(Cluster):
    """One Kafka node (KRaft) on free ports of loopback; a context manager that starts and stops it.

    Ports and data stay the same over `stop` or `kill` and another `start`. The data is kept in `folder`, or in a
    temporary one that goes with the context manager. `settings` are added to its server.properties. One that `joins`
    another is a second broker of its cluster, without a vote: it may fail, and the first one goes on. `features` are
    levels of features of a new cluster other than the newest, by name.
    """

    def __init__(
        self,
        folder: Path | None = None,
        settings: Mapping[str, str] | None = None,
        joins: "KafkaBroker | None" = None,
        features: Mapping[str, int] | None = None,
    ) -> None:
        self._java = _java()
        self.secure_servers: dict[str, str] = {}
        self._jars = _resolve_jars()
        self._temporary = tempfile.mkdtemp(prefix="claimscrub-kafka-") if folder is None else None
        self._folder = Path(self._temporary or str(folder)).resolve()
        self._settings = settings or {}
        self._features = [f"{name}={level}" for name, level in (features or {}).items()]
        self._process: subprocess.Popen[bytes] | None = None
        port, own_control = free_ports(2)
        self.node = 1 if joins is None else 2
        self._control: str = f"127.0.0.1:{own_control}" if joins is None else joins._control
        # 16 bytes; the zero keeps base64 from opening with a dash, which would be read as an option.
        new_cluster = base64.urlsafe_b64encode(b"\0" + os.urandom(15)).decode().rstrip("=")
        self._cluster_id: str = new_cluster if joins is None else joins._cluster_id
        super().__init__(f"127.0.0.1:{port}")
        self.log_path = self._folder / "broker.log"

    def start(self, timeout: float = 60) -> None:
        """Run the broker and wait until it answers and leads all of its partitions."""
        if self._process is not None:
            raise RuntimeError("the broker was started before and neither stopped nor killed since")
        data = self._folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties(data).items()))
        with self.log_path.open("ab") as log:
            if not (data / "meta.properties").exists():
                form = ["format", "--cluster-id", self._cluster_id, "--config", str(properties)]
                form += [part for feature in self._features for part in ("--feature", feature)]
                tool = ["kafka.tools.StorageTool", *form]
                if subprocess.run([*self._command(), *tool], check=False, stdout=log, stderr=log).returncode:
                    raise RuntimeError(f"cannot format the broker's data folder:\n{self._log_end()}")
            self._process = subprocess.Popen(
                ["sh", "-c", _WITH_WATCHER, "sh", *self._command("-Xmx512m"), "kafka.Kafka", str(properties)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the broker; kill() needs a group
            )
        try:
            self._wait_until_up(self._process, time.monotonic() + timeout)
        except BaseException:
            self.kill()
            raise

    def stop(self, timeout: float = 30) -> None:
        """Stop the broker in good order (SIGTERM) and wait for its end; nothing if it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"the broker did not stop within {timeout} s, killed:\n{self._log_end()}") from None
        finally:
            self.kill()

    def freeze(self) -> None:
        """Let the broker answer nobody, though it runs; until `thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a crash would; nothing if it does not run."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the watcher too
        process.wait()
        if process.stdin:
            process.stdin.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            if self._temporary:
                shutil.rmtree(self._temporary)

    def _secure_listeners(self) -> list[str]:
        return [f"{protocol}://{server}" for protocol, server in self.secure_servers.items()]

    def _properties(self, data: Path) -> dict[str, str]:
        listeners = [f"PLAINTEXT://{self.bootstrap_servers}", *self._secure_listeners()]
        controls = self.node == 1
        return {
            "process.roles": "broker,controller" if controls else "broker",
            "node.id": str(self.node),
            "controller.quorum.voters": f"1@{self._control}",
            "listeners": ",".join([*listeners, f"CONTROLLER://{self._control}"] if controls else listeners),
            "advertised.listeners": ",".join(listeners),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": ",".join(
                [
                    "CONTROLLER:PLAINTEXT",
                    "PLAINTEXT:PLAINTEXT",
                    *(f"{name}:{_PROTOCOLS.get(name, name)}" for name in self.secure_servers),
                ]
            ),
            "log.dirs": str(data),
            "auto.create.topics.enable": "false",
            # A single node can hand its partitions to nobody. While it tries, its transaction coordinator takes them
            # for deleted and completes transactions without the markers in their partitions (seen with 4.3.1): their
            # records then stay invisible, and the group's offsets unstable, until somebody aborts them by hand.
            "controlled.shutdown.enable": "false",
            # One node can't keep three replicas; two don't have to.
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # Tests wait for all of these; by default 50 partitions each, and 3, 6, 10 and 9 s.
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.num.partitions": "4",
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
            "broker.session.timeout.ms": "3000",  # how long a killed broker's registration keeps the next one out
            "broker.heartbeat.interval.ms": "500",
            **self._settings,
        }

    def _command(self, *options: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={(_HERE / 'log4j2.properties').resolve()}"
        return [self._java, *options, log4j, "-cp", f"{self._jars}/*"]

    def _wait_until_up(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        admin = self._admin()
        while True:
            if process.poll() is not None:
                raise RuntimeError(f"the broker ended with status {process.returncode}:\n{self._log_end()}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the broker did not come up in time:\n{self._log_end()}")
            try:
                known = admin.list_topics(timeout=1)
            except KafkaException:
                continue
            if self.node in known.brokers and all(
                _led(topic) == len(topic.partitions) for topic in known.topics.values()
            ):
                return
            time.sleep(0.05)

    def _log_end(self) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-20:])


class SecureKafkaBroker(KafkaBroker):
    """A broker that also listens with TLS, SASL, and both; user and password are the only ones it knows.

    `secure_servers` maps each protocol to its address, `ca_file` is the certificate that a client has to trust. At the
    address of MUTUAL it demands the certificate of `client`, whose key has the password too.

    With `access_control` the user may do only what it was allowed; who comes without a user may do everything.
    """

    user, password = "scrubber", "known-to-the-broker"

    def __init__(self, folder: Path, *, access_control: bool = False) -> None:
        store = folder / "broker.p12"
        login = "org.apache.kafka.common.security"
        plain = f'{login}.plain.PlainLoginModule required user_{self.user}="{self.password}";'
        settings = {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "listener.name.mutual.ssl.client.auth": "required",
            "listener.name.mutual.ssl.truststore.type": "PEM",
            "listener.name.mutual.ssl.truststore.location": str(folder / "client.pem"),
            "ssl.keystore.location": str(store),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.password": "changeit",
        }
        for name in ("sasl_plaintext", "sasl_ssl"):
            settings[f"listener.name.{name}.plain.sasl.jaas.config"] = plain
            for mechanism in ("scram-sha-256", "scram-sha-512"):
                settings[f"listener.name.{name}.{mechanism}.sasl.jaas.config"] = (
                    f"{login}.scram.ScramLoginModule required;"
                )
        if access_control:
            settings["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
            settings["super.users"] = "User:ANONYMOUS"
        super().__init__(folder, settings)
        protocols = ("SSL", "SASL_PLAINTEXT", "SASL_SSL", "MUTUAL")
        self.secure_servers = {
            protocol: f"127.0.0.1:{port}" for protocol, port in zip(protocols, free_ports(len(protocols)), strict=True)
        }
        self.ca_file = folder / "ca.pem"
        keytool = str(Path(self._java).with_name("keytool")) if os.sep in self._java else "keytool"
        common = ["-alias", "broker", "-keystore", str(store), "-storepass", "changeit"]
        for arguments in (
            ["-genkeypair", "-keyalg", "RSA", "-dname", "CN=127.0.0.1", "-ext", "SAN=IP:127.0.0.1", "-validity", "2"],
            ["-exportcert", "-rfc", "-file", str(self.ca_file)],
        ):
            subprocess.run([keytool, *arguments, *common], check=True, capture_output=True)
        self.client = own_certificate(folder, "client", self.password)

    def start(self, timeout: float = 60) -> None:
        """Start, and make the user known to SCRAM, which keeps its users in the cluster and not in the settings."""
        super().start(timeout)
        mechanisms = (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512)
        changes = [
            UserScramCredentialUpsertion(self.user, ScramCredentialInfo(each, 4096), self.password.encode())
            for each in mechanisms
        ]
        admin = self._admin()
        for change in changes:
            for changed in admin.alter_user_scram_credentials([change]).values():
                changed.result()

    def allow(self, operation: str, kind: str, name: str, *, prefix: bool = False) -> None:
        """Let the user do something with a topic, group or transactional_id, or with all whose names start so."""
        pattern = ResourcePatternType.PREFIXED if prefix else ResourcePatternType.LITERAL
        rights = (f"User:{self.user}", "*", AclOperation[operation.upper()], AclPermissionType.ALLOW)
        binding = AclBinding(ResourceType[kind.upper()], name, pattern, *rights)
        admin = self._admin()
        for made in admin.create_acls([binding]).values():
            made.result()

    def forbid(self, operation: str, kind: str, name: str) -> None:
        """Take back what was allowed with this name."""
        rights = (f"User:{self.user}", "*", AclOperation[operation.upper()], AclPermissionType.ALLOW)
        matching = AclBindingFilter(ResourceType[kind.upper()], name, ResourcePatternType.LITERAL, *rights)
        admin = self._admin()
        for removed in admin.delete_acls([matching]).values():
            assert removed.result(), f"nothing of {kind} {name} was allowed"


def own_certificate(folder: Path, name: str, password: str = "") -> tuple[Path, Path]:
    """A certificate that has signed itself, for 127.0.0.1 if that is its name, and its key; as PEM files."""
    key = generate_private_key(SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    address = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    encryption = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return files


def _led(topic: TopicMetadata) -> int:
    """How many partitions of a topic have a leader, and so can be written and read."""
    return sum(partition.leader >= 0 for partition in topic.partitions.values())


def free_ports(count: int) -> list[int]:
    """Free ports below the range that outgoing connections get theirs from.

    A port of that range could be given to a client that keeps trying to reach the broker while it is stopped, and the
    broker could not start again.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.add(port)
    return list(found)


def _java() -> str:
    """The java to run, 17 or newer: of JAVA_HOME if that is set, else the first in PATH."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    try:
        shown = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"{_NEEDS_JAVA} ({error})") from None
    version = re.search(r'version "(\d+)', shown)
    if version is None or int(version[1]) < 17:
        raise RuntimeError(f"{_NEEDS_JAVA} (found {shown.strip()})")
    return java


def _resolve_jars() -> Path:
    """The folder with Kafka's jars; fetched with Maven if this version of Kafka is not in the cache yet."""
    pom = _HERE / "pom.xml"
    version = re.search(r"<kafka.version>(.+)</kafka.version>", pom.read_text())
    assert version, f"{pom} names no kafka.version"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jars = cache / "claimscrub" / f"kafka-{version[1]}" / "lib"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise RuntimeError(_NEEDS_MAVEN)
    jars.parent.mkdir(parents=True, exist_ok=True)
    # Into a folder of its own, then renamed: a broken-off run leaves no half cache, and two runs at once don't mix.
    partial = Path(tempfile.mkdtemp(prefix="lib-", dir=jars.parent))
    try:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}", "-DincludeScope=runtime"]
        command = [maven, "-q", "-B", "-f", str(pom), *goal]
        copied = subprocess.run(command, check=False, capture_output=True, text=True)
        if copied.returncode:
            reason = "\n".join((copied.stdout + copied.stderr).splitlines()[:20])
            raise RuntimeError(f"Maven could not fetch Kafka's jars (it needs its repository once):\n{reason}")
        try:
            partial.rename(jars)
        except OSError:
            if not jars.is_dir():  # else another run was faster
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return jars
