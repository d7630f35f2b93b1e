"""Where a release has what: in its artifact, in its folder, on its version in the registry."""

FOLDER = "bundle"
"""Folder of the bundle in its artifact: the lake keeps its own manifest beside it."""

LISTS = "recommendations"
"""Folder of the night's lists in a released bundle."""

MANIFEST_TAG = "nightjar.manifest"
"""Tag of a version: the sha256 of its manifest, and so of everything in it: what a release is, whatever its number."""
