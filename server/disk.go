package server

import "github.com/cockroachdb/pebble/v2/vfs"

// diskUsage adds up the sizes of the files in and below dir. What cannot be read
// counts nothing: files come and go meanwhile.
func diskUsage(fs vfs.FS, dir string) int64 {
	names, err := fs.List(dir)
	if err != nil {
		return 0
	}
	var total int64
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		switch {
		case err != nil:
		case info.IsDir():
			total += diskUsage(fs, path)
		default:
			total += info.Size()
		}
	}
	return total
}
