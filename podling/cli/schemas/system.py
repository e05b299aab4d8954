"""What `info --format` and `version --format` can name."""

from __future__ import annotations

from podling.cli.gotemplate import values

values.declare("idtools.IDMap", "ContainerID int container_id\nHostID int host_id\nSize int size")

values.declare(
    "types.DNSNetworkInfo",
    """
    Version string version
    Package string package
    Path string path
    """,
)

values.declare(
    "types.NetworkInfo",
    """
    Backend string backend
    Version string version
    Package string package
    Path string path
    DNS types.DNSNetworkInfo dns
    DefaultNetwork string defaultNetwork
    """,
)

values.declare(
    "define.Version",
    """
    APIVersion string
    Version string
    GoVersion string
    GitCommit string
    BuiltTime string
    Built int64
    BuildOrigin string
    OsArch string
    Os string
    """,
)

values.declare(
    "define.SecurityInfo",
    """
    AppArmorEnabled bool apparmorEnabled
    DefaultCapabilities string capabilities
    Rootless bool rootless
    SECCOMPEnabled bool seccompEnabled
    SECCOMPProfilePath string seccompProfilePath
    SELinuxEnabled bool selinuxEnabled
    """,
)

values.declare(
    "define.RemoteSocket",
    """
    Path string path
    Exists bool exists
    """,
)

values.declare(
    "define.PastaInfo",
    """
    Executable string executable
    Package string package
    Version string version
    """,
)

values.declare(
    "define.IDMappings",
    """
    GIDMap []idtools.IDMap gidmap
    UIDMap []idtools.IDMap uidmap
    """,
)

values.declare(
    "define.DistributionInfo",
    """
    Distribution string distribution
    Variant string variant
    Version string version
    Codename string codename
    """,
)

values.declare(
    "define.ConmonInfo",
    """
    Package string package
    Path string path
    Version string version
    """,
)

values.declare(
    "define.OCIRuntimeInfo",
    """
    Name string name
    Package string package
    Path string path
    Version string version
    """,
)

values.declare(
    "define.CPUUsage",
    """
    UserPercent float64 userPercent
    SystemPercent float64 systemPercent
    IdlePercent float64 idlePercent
    """,
)

values.declare(
    "define.HostInfo",
    """
    Arch string arch
    BuildahVersion string buildahVersion
    CgroupManager string cgroupManager
    CgroupsVersion string cgroupVersion
    CgroupControllers []string cgroupControllers
    Conmon *define.ConmonInfo conmon
    CPUs int cpus
    CPUUtilization *define.CPUUsage cpuUtilization
    DatabaseBackend string databaseBackend
    Distribution define.DistributionInfo distribution
    EventLogger string eventLogger
    FreeLocks *uint32 freeLocks
    Hostname string hostname
    IDMappings define.IDMappings idMappings
    Kernel string kernel
    LogDriver string logDriver
    MemFree int64 memFree
    MemTotal int64 memTotal
    NetworkBackend string networkBackend
    NetworkBackendInfo types.NetworkInfo networkBackendInfo
    OCIRuntime *define.OCIRuntimeInfo ociRuntime
    OS string os
    RemoteSocket *define.RemoteSocket remoteSocket
    RootlessNetworkCmd string rootlessNetworkCmd
    RuntimeInfo map[string]any runtimeInfo
    ServiceIsRemote bool serviceIsRemote
    Security define.SecurityInfo security
    Pasta define.PastaInfo pasta
    SwapFree int64 swapFree
    SwapTotal int64 swapTotal
    Uptime string uptime
    Variant string variant
    Linkmode string linkmode
    EmulatedArchitectures []string emulatedArchitectures
    """,
)

values.declare(
    "define.ImageStore",
    """
    Number int number
    """,
)

values.declare(
    "define.ContainerStore",
    """
    Number int number
    Paused int paused
    Running int running
    Stopped int stopped
    """,
)

values.declare(
    "define.StoreInfo",
    """
    ContainerStore define.ContainerStore containerStore
    GraphDriverName string graphDriverName
    GraphOptions map[string]any graphOptions
    GraphRoot string graphRoot
    GraphRootAllocated uint64 graphRootAllocated
    GraphRootUsed uint64 graphRootUsed
    GraphStatus map[string]string graphStatus
    ImageCopyTmpDir string imageCopyTmpDir
    ImageStore define.ImageStore imageStore
    RunRoot string runRoot
    VolumePath string volumePath
    TransientStore bool transientStore
    """,
)

values.declare(
    "define.Plugins",
    """
    Volume []string volume
    Network []string network
    Log []string log
    Authorization []string authorization
    """,
)

values.declare(
    "define.Info",
    """
    Host *define.HostInfo host
    Store *define.StoreInfo store
    Registries map[string]any registries
    Plugins define.Plugins plugins
    Version define.Version version
    """,
)

values.declare("types.SystemVersionReport", "Client *define.Version\nServer *define.Version")
