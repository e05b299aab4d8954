"""What `network` and `volume` verbs' --format can name."""

from __future__ import annotations

from podling.cli.gotemplate import gotime, values

gotime.declare()
values.declare(
    "types.LeaseRange",
    """
    StartIP string start_ip
    EndIP string end_ip
    """,
)

values.declare(
    "types.Subnet",
    """
    Subnet string subnet
    Gateway string gateway
    LeaseRange *types.LeaseRange lease_range
    """,
)

values.declare(
    "types.Route",
    """
    Destination string destination
    Gateway string gateway
    Metric *uint32 metric
    """,
)

values.declare(
    "types.Network",
    """
    Name string name
    ID string id
    Driver string driver
    NetworkInterface string network_interface
    Created time.Time created
    Subnets []types.Subnet subnets
    Routes []types.Route routes
    IPv6Enabled bool ipv6_enabled
    Internal bool internal
    DNSEnabled bool dns_enabled
    NetworkDNSServers []string network_dns_servers
    Labels map[string]string labels
    Options map[string]string options
    IPAMOptions map[string]string ipam_options
    """,
)

values.declare(
    "define.InspectVolumeData",
    """
    Name string
    Driver string
    Mountpoint string
    CreatedAt time.Time
    Status map[string]any
    Labels map[string]string
    Scope string
    Options map[string]string
    UID int
    GID int
    Anonymous bool
    MountCount uint
    NeedsCopyUp bool
    NeedsChown bool
    Timeout uint
    StorageID string
    LockNumber uint32
    """,
)

values.declare(
    "types.NetAddress",
    """
    IPNet string ipnet
    Gateway string gateway
    """,
)
values.declare(
    "types.NetInterface",
    """
    Subnets []types.NetAddress subnets
    MacAddress string mac_address
    """,
)
values.declare(
    "types.NetworkContainerInfo",
    """
    Name string name
    Interfaces map[string]types.NetInterface interfaces
    """,
)
values.declare(
    "types.NetworkInspectReport",
    """
    types.Network
    Containers map[string]types.NetworkContainerInfo containers
    """,
)
values.declare(
    "types.VolumeListReport",
    """
    define.InspectVolumeData
    """,
)


def labels_text(labels: dict[str, str] | None) -> str:
    """Return labels as Docker lists them: sorted, joined by commas."""
    labels = labels or {}
    return ",".join(f"{key}={labels[key]}" for key in sorted(labels))


def network_reporter(id_length: int) -> values.Type:
    """Return the type of a row of `network ls`, with IDs of some length."""
    reporter = values.declare("networks.ListPrintReports", "types.Network")
    reporter.methods["ID"] = values.Method(lambda data: (data.get("id") or "")[:id_length], values.STRING)
    reporter.methods["Labels"] = values.Method(lambda data: labels_text(data.get("labels")), values.STRING)
    return reporter


def volume_reporter() -> values.Type:
    """Return the type of a row of `volume ls`."""
    reporter = values.declare("volumes.volumeReporter", "types.VolumeListReport")
    reporter.methods["Labels"] = values.Method(lambda data: labels_text(data.get("Labels")), values.STRING)
    return reporter
