// Package tree is the data model of the Firebase Realtime Database: immutable JSON-like trees, the paths into them, their
// order, their JSON forms, hashes, server values and push ids.
//
// A *Node is a leaf (boolean, number, string, or a server value that is not resolved yet) or an object, whose children are
// in key order. The nil *Node is the empty node: what is not there. There is no empty object, for an object whose last child
// goes is not there either. Leaves and objects may carry a priority, which is a leaf itself.
//
// The package promises that
//   - a Node never changes, so that it may be shared by any number of goroutines and by any number of trees. Set and its like
//     return a new tree that shares what did not change;
//   - integers in the range of int64 are exact, and a number has one representation: what is integral and in that range is an
//     Int, whatever way it was written;
//   - keys, paths and leaves that come in through ParseJSON, ParsePath, DecodeBinary and ScanLeaves are within the limits
//     (see MaxKeyBytes and its neighbours) and are valid UTF-8;
//   - every order is total and equals that of the Firebase SDKs wherever they define one.
//
// The caller must keep what the constructors ask for: keys that pass CheckKey, strings of valid UTF-8. They do not check,
// because they are on the hot path of data that was checked when it came in. A caller that joins paths or places a node below
// a path checks the sum with CheckDepth.
//
// The package must not know of sockets, files, clocks, goroutines, rules or queries: times and randomness are passed in.
package tree
