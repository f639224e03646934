"""The version of the package, also its place for the build."""

VERSION = "0.1.0"
