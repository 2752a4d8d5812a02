// Command log verifies a published folder (SPEC 8.3) and the receipts beside it with golang.org/x/mod/sumdb, the code of Go's own module
// transparency log. It shares no line with tabellion.
//
// Usage: log VKEY FOLDER [FINGERPRINT]
//
// VKEY is the log's first vkey, taken from the charter by the caller; FOLDER holds tabellion/common and perhaps tabellion/results.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const tileWidth = 256

// fault ends the verification: the folder is refused.
type fault string

func must(ok bool, format string, args ...interface{}) {
	if !ok {
		panic(fault(fmt.Sprintf(format, args...)))
	}
}

func check(err error, format string, args ...interface{}) {
	if err != nil {
		panic(fault(fmt.Sprintf(format, args...) + ": " + err.Error()))
	}
}

// record is what this program reads of a log entry (SPEC 4.4).
type record struct {
	Number  int64         `cbor:"1,keyasint"`
	Kind    int64         `cbor:"2,keyasint"`
	Pid     []byte        `cbor:"3,keyasint"`
	Session int64         `cbor:"8,keyasint"`
	Keys    []interface{} `cbor:"10,keyasint"`
	Next    []byte        `cbor:"11,keyasint"`
}

// signer is a log key and the number it is valid from (SPEC 4.4 key 10).
type signer struct {
	from     int64
	vkey     string
	verifier note.Verifier
}

type folder struct {
	common, results string
	origin          string
	entries         [][]byte
	records         []record
	stored          []tlog.Hash
	roots           []tlog.Hash // roots[n] is the root of size n
	signers         []signer
}

func main() {
	if len(os.Args) < 3 || len(os.Args) > 4 {
		fmt.Fprintln(os.Stderr, "usage: log VKEY FOLDER [FINGERPRINT]")
		os.Exit(2)
	}
	defer func() {
		if f, ok := recover().(fault); ok {
			fmt.Fprintln(os.Stderr, "go: refused:", string(f))
			os.Exit(1)
		}
	}()
	base := filepath.Join(os.Args[2], "tabellion")
	f := &folder{common: filepath.Join(base, "common"), results: filepath.Join(base, "results")}
	f.readEntries()
	f.growTree()
	if len(os.Args) == 4 {
		must(f.roots[1].String() == base64Of(os.Args[3]), "fingerprint is %x, expected %s", f.roots[1][:], os.Args[3])
	}
	f.readSigners(os.Args[1])
	head := f.openCheckpoint(f.read("checkpoint"), "checkpoint")
	must(head == f.size(), "checkpoint is of size %d, entries are there for %d", head, f.size())
	checkpoints := f.checkCheckpoints()
	tiles := f.checkTiles()
	made, proofs := f.checkProofs()
	receipts, notes := f.checkReceipts()
	f.checkHint()
	fmt.Printf("go: %d checkpoints, %d tiles, %d proofs made and checked, %d proof files, %d receipts, %d of them notes\n",
		checkpoints, tiles, made, proofs, receipts, notes)
	fmt.Printf("go: ok common@%d\n", f.size())
}

func base64Of(fingerprint string) string {
	raw, err := hex.DecodeString(fingerprint)
	check(err, "fingerprint")
	return base64.StdEncoding.EncodeToString(raw)
}

func (f *folder) size() int64 { return int64(len(f.entries)) }

func (f *folder) read(path string) []byte {
	data, err := os.ReadFile(filepath.Join(f.common, filepath.FromSlash(path)))
	check(err, "read")
	return data
}

// ReadHashes lets tlog read the hashes it stored.
func (f *folder) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(f.stored)) {
			return nil, fmt.Errorf("no stored hash %d", x)
		}
		out[i] = f.stored[x]
	}
	return out, nil
}

// group writes a tile number as C2SP tlog-tiles does: x001/x234/067.
func group(n int64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		s = fmt.Sprintf("x%03d/%s", n%1000, s)
	}
	return s
}

// wide is a file of up to 256 items: its number and how many it holds.
type wide struct {
	path          string
	number, width int64
}

// widths lists the files below dir, refusing any whose path is not canonical.
func (f *folder) widths(dir string) []wide {
	var out []wide
	root := filepath.Join(f.common, filepath.FromSlash(dir))
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		check(err, "path")
		rel = filepath.ToSlash(rel)
		w := wide{path: dir + "/" + rel, width: tileWidth}
		name := rel
		if at := strings.Index(rel, ".p/"); at >= 0 {
			name = rel[:at]
			w.width, err = strconv.ParseInt(rel[at+3:], 10, 64)
			check(err, "path %s", w.path)
			must(w.width > 0 && w.width < tileWidth, "path %s: width %d", w.path, w.width)
			must(strconv.FormatInt(w.width, 10) == rel[at+3:], "path %s is not canonical", w.path)
		}
		w.number, err = strconv.ParseInt(strings.NewReplacer("x", "", "/", "").Replace(name), 10, 64)
		check(err, "path %s", w.path)
		must(group(w.number) == name, "path %s is not canonical", w.path)
		out = append(out, w)
		return nil
	})
	check(err, "walk %s", dir)
	sort.Slice(out, func(i, j int) bool {
		return out[i].number < out[j].number || out[i].number == out[j].number && out[i].width < out[j].width
	})
	return out
}

// items splits a file of `u16be length ‖ item`.
func (f *folder) items(w wide) [][]byte {
	var out [][]byte
	for data := f.read(w.path); len(data) > 0; {
		must(len(data) >= 2, "%s breaks off", w.path)
		n := 2 + int(binary.BigEndian.Uint16(data))
		must(len(data) >= n, "%s breaks off", w.path)
		out, data = append(out, data[2:n]), data[n:]
	}
	must(int64(len(out)) == w.width, "%s holds %d items", w.path, len(out))
	return out
}

// sequence puts together what the files below dir hold; every file must tell the same.
func (f *folder) sequence(dir string) [][]byte {
	var all [][]byte
	for _, w := range f.widths(dir) {
		for i, item := range f.items(w) {
			at := w.number*tileWidth + int64(i)
			must(at <= int64(len(all)), "%s: a file before it is missing", w.path)
			if at == int64(len(all)) {
				all = append(all, item)
			}
			must(bytes.Equal(all[at], item), "%s: item %d differs from another file's", w.path, at+1)
		}
	}
	return all
}

func (f *folder) readEntries() {
	f.entries = f.sequence("tile/entries")
	must(f.size() > 0, "tile/entries holds nothing")
	dec, err := cbor.DecOptions{DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden}.DecMode()
	check(err, "cbor")
	for i, entry := range f.entries {
		var r record
		check(dec.Unmarshal(entry, &r), "record %d", i+1)
		must(r.Number == int64(i+1), "record %d says it is %d", i+1, r.Number)
		f.records = append(f.records, r)
	}
}

// growTree computes the root of every size with tlog.
func (f *folder) growTree() {
	empty, err := tlog.TreeHash(0, f)
	check(err, "tree hash")
	f.roots = append(f.roots, empty)
	for i, entry := range f.entries {
		hashes, err := tlog.StoredHashes(int64(i), entry, f)
		check(err, "stored hashes")
		f.stored = append(f.stored, hashes...)
		root, err := tlog.TreeHash(int64(i+1), f)
		check(err, "tree hash")
		f.roots = append(f.roots, root)
	}
}

// readSigners follows the log's keys from the charter's through every rotation.
func (f *folder) readSigners(vkey string) {
	var next []byte
	for i, r := range f.records {
		if r.Kind != 0 && r.Kind != 3 && r.Kind != 5 {
			continue
		}
		must(len(r.Keys) == 2, "record %d names no keys", i+1)
		v, ok := r.Keys[0].(string)
		must(ok, "record %d: the vkey is no text", i+1)
		if r.Kind == 5 {
			must(v == f.signers[len(f.signers)-1].vkey, "record %d hands over and changes the log key", i+1)
			continue
		}
		must((r.Kind == 0) == (i == 0), "record %d has kind %d", i+1, r.Kind)
		verifier, err := note.NewVerifier(v)
		check(err, "record %d", i+1)
		if i == 0 {
			must(v == vkey, "record 1 has another vkey than the charter: %s", v)
			f.origin = verifier.Name()
		} else {
			key, err := base64.StdEncoding.DecodeString(v[strings.LastIndex(v, "+")+1:])
			must(err == nil && len(key) == 33, "record %d: vkey", i+1)
			sum := sha256.Sum256(key[1:])
			must(bytes.Equal(sum[:], next), "record %d: the new key is not the one announced", i+1)
		}
		must(verifier.Name() == f.origin, "record %d: the vkey is of %s", i+1, verifier.Name())
		next = r.Next
		f.signers = append(f.signers, signer{int64(i + 1), v, verifier})
	}
	must(len(f.signers) > 0, "record 1 is no charter")
}

// verifiers lists the keys that must have signed at a size: both at a rotation, for a checkpoint.
func (f *folder) verifiers(size int64, checkpoint bool) []note.Verifier {
	var out []note.Verifier
	for i, s := range f.signers {
		from, until := s.from, f.size()+1
		if i+1 < len(f.signers) {
			until = f.signers[i+1].from
		}
		if i == 0 {
			from = 0
		}
		if from <= size && (size < until || checkpoint && size == until) {
			out = append(out, s.verifier)
		}
	}
	return out
}

// open verifies a note with note.Open under all of the keys of its size, and refuses base64 that is not canonical.
func (f *folder) open(data []byte, size int64, checkpoint bool, what string) *note.Note {
	keys := f.verifiers(size, checkpoint)
	n, err := note.Open(data, note.VerifierList(keys...))
	check(err, "%s", what)
	must(len(n.Sigs) == len(keys), "%s: %d signatures verified, expected %d", what, len(n.Sigs), len(keys))
	for _, s := range n.Sigs {
		_, err := base64.StdEncoding.Strict().DecodeString(s.Base64)
		check(err, "%s", what)
	}
	return n
}

func (f *folder) checkpointText(size int64) string {
	return fmt.Sprintf("%s\n%d\n%s\n", f.origin, size, f.roots[size])
}

// openCheckpoint gives the size of a checkpoint whose text and signatures are what this log's must be.
func (f *folder) openCheckpoint(data []byte, what string) int64 {
	lines := strings.SplitN(string(data), "\n", 3)
	must(len(lines) == 3, "%s is no checkpoint", what)
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, "%s", what)
	must(size >= 1 && size <= f.size(), "%s: size %d", what, size)
	n := f.open(data, size, true, what)
	must(n.Text == f.checkpointText(size), "%s: its text is not that of common@%d", what, size)
	return size
}

func (f *folder) checkCheckpoints() int {
	lines := f.sequence("checkpoints")
	must(int64(len(lines)) == f.size(), "checkpoints are there for %d of %d", len(lines), f.size())
	for i, l := range lines {
		size := int64(i + 1)
		what := fmt.Sprintf("checkpoints: common@%d", size)
		n := f.open([]byte(f.checkpointText(size)+"\n"+string(l)), size, true, what)
		must(len(n.UnverifiedSigs) == 0, "%s: a signature that is not ours", what)
	}
	return len(lines)
}

// checkTiles compares every tile with what tlog computes, and wants those of the head.
func (f *folder) checkTiles() int {
	seen := map[string]bool{}
	levels, err := os.ReadDir(filepath.Join(f.common, "tile"))
	check(err, "tile")
	for _, l := range levels {
		for _, w := range f.widths("tile/" + l.Name()) {
			seen[w.path] = true
			if l.Name() == "entries" {
				continue // compared in sequence, leaf by leaf in the tree
			}
			level, err := strconv.Atoi(l.Name())
			must(err == nil && level >= 0 && level < 8 && strconv.Itoa(level) == l.Name(), "tile/%s", l.Name())
			must((w.number*tileWidth+w.width)<<(8*level) <= f.size(), "%s lies beyond the head", w.path)
			indexes := make([]int64, w.width)
			for i := range indexes {
				indexes[i] = tlog.StoredHashIndex(8*level, w.number*tileWidth+int64(i))
			}
			hashes, err := f.ReadHashes(indexes)
			check(err, "%s", w.path)
			var want []byte
			for _, h := range hashes {
				want = append(want, h[:]...)
			}
			must(bytes.Equal(f.read(w.path), want), "%s is not what tlog computes", w.path)
		}
	}
	for _, dir := range []string{"tile/entries", "checkpoints", "papers"} {
		f.wantFiles(dir, f.size())
	}
	for level, n := 0, f.size(); n > 0; level, n = level+1, n>>8 {
		f.wantFiles("tile/"+strconv.Itoa(level), n)
	}
	return len(seen)
}

// wantFiles refuses a folder that lacks a file of the head.
func (f *folder) wantFiles(dir string, items int64) {
	for n := int64(0); n*tileWidth < items; n++ {
		path := dir + "/" + group(n)
		if rest := items - n*tileWidth; rest < tileWidth {
			path += ".p/" + strconv.FormatInt(rest, 10)
		}
		_, err := os.Stat(filepath.Join(f.common, filepath.FromSlash(path)))
		check(err, "the head needs %s", path)
	}
}

// checkProofs proves every record and every step with tlog, then checks the proof files.
func (f *folder) checkProofs() (made, files int) {
	for n := int64(1); n <= f.size(); n++ {
		leaf := tlog.RecordHash(f.entries[n-1])
		for _, size := range []int64{n, f.size()} {
			p, err := tlog.ProveRecord(size, n-1, f)
			check(err, "prove record %d", n)
			check(tlog.CheckRecord(p, size, f.roots[size], n-1, leaf), "record %d in common@%d", n, size)
			made++
		}
		for _, old := range []int64{1, n - 1} {
			if old < 1 {
				continue
			}
			p, err := tlog.ProveTree(n, old, f)
			check(err, "prove tree %d from %d", n, old)
			check(tlog.CheckTree(p, n, f.roots[n], old, f.roots[old]), "common@%d from common@%d", n, old)
			made++
		}
	}
	last := map[int64]int64{}
	for _, r := range f.records {
		last[r.Session] = r.Number
	}
	for _, n := range last {
		path := fmt.Sprintf("common@%d.tlog-proof", n)
		_, err := os.Stat(filepath.Join(f.common, path))
		check(err, "session's last number")
	}
	for _, pattern := range []string{"common@*.tlog-proof", "rotation/*.tlog-proof"} {
		paths, err := filepath.Glob(filepath.Join(f.common, filepath.FromSlash(pattern)))
		check(err, "glob")
		for _, path := range paths {
			name := filepath.Base(path)
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(name, "common@"), ".tlog-proof"), 10, 64)
			check(err, "%s", name)
			data, err := os.ReadFile(path)
			check(err, "%s", name)
			index, size := f.checkProof(data, name)
			must(index == n-1 && size == n, "%s proves index %d in size %d", name, index, size)
			files++
		}
	}
	return made, files
}

// checkProof checks a tlog-proof (SPEC 4.6); the leaf is recomputed from its extra line.
func (f *folder) checkProof(data []byte, what string) (index, size int64) {
	at := strings.Index(string(data), "\n\n")
	must(at >= 0, "%s has no empty line", what)
	lines, checkpoint := strings.Split(string(data[:at]), "\n"), data[at+2:]
	must(len(lines) >= 3 && lines[0] == "c2sp.org/tlog-proof@v1", "%s is no tlog-proof", what)
	must(strings.HasPrefix(lines[1], "extra ") && strings.HasPrefix(lines[2], "index "), "%s: lines 2 and 3", what)
	entry, err := base64.StdEncoding.Strict().DecodeString(lines[1][6:])
	check(err, "%s: extra", what)
	index, err = strconv.ParseInt(lines[2][6:], 10, 64)
	check(err, "%s: index", what)
	must(strconv.FormatInt(index, 10) == lines[2][6:], "%s: index", what)
	var proof tlog.RecordProof
	for _, l := range lines[3:] {
		raw, err := base64.StdEncoding.Strict().DecodeString(l)
		must(err == nil && len(raw) == tlog.HashSize, "%s: hash %q", what, l)
		var h tlog.Hash
		copy(h[:], raw)
		proof = append(proof, h)
	}
	size = f.openCheckpoint(checkpoint, what)
	check(tlog.CheckRecord(proof, size, f.roots[size], index, tlog.RecordHash(entry)), "%s", what)
	must(bytes.Equal(entry, f.entries[index]), "%s: extra is not entry %d", what, index)
	return index, size
}

var sessionFile = regexp.MustCompile(`^session-([0-9]{6,})\.receipts$`)

func (f *folder) checkReceipts() (receipts, notes int) {
	files, err := filepath.Glob(filepath.Join(f.results, "*.receipts"))
	check(err, "glob")
	for _, path := range files {
		name, session := filepath.Base(path), int64(-1)
		if m := sessionFile.FindStringSubmatch(name); m != nil {
			session, err = strconv.ParseInt(m[1], 10, 64)
			check(err, "%s", name)
		} else {
			must(name == "again.receipts", "results/%s is no receipts file", name)
		}
		data, err := os.ReadFile(path)
		check(err, "%s", name)
		dec, before := cbor.NewDecoder(bytes.NewReader(data)), []byte{}
		for dec.NumBytesRead() < int64(len(data)) {
			var item struct {
				_     struct{} `cbor:",toarray"`
				Pid   []byte
				Bytes []byte
			}
			check(dec.Decode(&item), "%s", name)
			what := fmt.Sprintf("%s: receipt of %x", name, item.Pid)
			must(len(item.Pid) == 32 && bytes.Compare(before, item.Pid) < 0, "%s: out of order", what)
			before = item.Pid
			receipts++
			if bytes.HasPrefix(item.Bytes, []byte(f.origin+"/verdict v1\n")) {
				f.checkNote(item.Bytes, item.Pid, session, what)
				notes++
				continue
			}
			index, size := f.checkProof(item.Bytes, what)
			r, last := f.records[index], f.records[size-1]
			must(bytes.Equal(r.Pid, item.Pid), "%s is for paper %x", what, r.Pid)
			must(session < 0 || r.Session == session, "%s is of session %d", what, r.Session)
			must(last.Session == r.Session && (size == f.size() || f.records[size].Session != r.Session), "%s: common@%d does not end its session", what, size)
		}
	}
	return receipts, notes
}

var noteText = regexp.MustCompile(`^(.*)/verdict v1
paper sha256:([0-9a-f]{64})
(verdict refused|notice pending|notice deferred) [a-z]+(?:-[a-z]+)*
common (0|[1-9][0-9]*) ([A-Za-z0-9+/=]{44})
session (0|[1-9][0-9]*)
policy sha256:[0-9a-f]{64}
detail [a-z0-9._/:+-]+(?: [a-z0-9._/:+-]+)*
$`)

// checkNote opens a verdict note (SPEC 4.7) under the key of the head it names.
func (f *folder) checkNote(data, pid []byte, session int64, what string) {
	lines := strings.SplitN(string(data), "\n", 5)
	must(len(lines) == 5 && strings.HasPrefix(lines[3], "common "), "%s is no note", what)
	head, err := strconv.ParseInt(strings.Fields(lines[3])[1], 10, 64)
	check(err, "%s", what)
	must(head >= 0 && head <= f.size(), "%s: head %d", what, head)
	m := noteText.FindStringSubmatch(f.open(data, head, false, what).Text)
	must(m != nil, "%s: its text is not of SPEC 4.7", what)
	must(m[1] == f.origin && m[2] == hex.EncodeToString(pid), "%s: origin or paper", what)
	must(m[5] == f.roots[head].String(), "%s: root of common@%d", what, head)
	must(session < 0 || m[6] == strconv.FormatInt(session, 10), "%s: it is of session %s", what, m[6])
}

// checkHint compares the file vkeys with the keys the records gave.
func (f *folder) checkHint() {
	want := ""
	for _, s := range f.signers {
		want += fmt.Sprintf("%d %s\n", s.from, s.vkey)
	}
	must(string(f.read("vkeys")) == want, "vkeys does not list the log's keys")
}
