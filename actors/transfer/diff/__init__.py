"""Making a layer of the difference between two trees, or telling what differs.

`compare` finds the changes, looking at all of both trees or only at the upper directory of an overlay; `tarheader`
writes down one entry, `layerwriter` a whole layer, `sink` compresses and hashes it on its way. `job` is what runs in a
process of its own. The same trees make the same bytes, on any machine and at any time.
"""
