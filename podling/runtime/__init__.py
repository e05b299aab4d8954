"""The OCI runtime: a drop-in for runc's command line.

main          global flags, dispatch to one module per verb, errors
create ──► init ──► rootfs, devices, console, identity      start  run  exec
container     what is on disk under --root                  state  kill  delete  list  ps  spec  features
"""
