// Command proofs verifies proofs that travel alone, with golang.org/x/mod/sumdb and nothing of the folder they were made from: the part of a
// proof of a name that other programs know (SPEC 5.4, 4.6), and catch-ups from a pin (SPEC 4.9). It shares no line with tabellion.
//
// Usage: proofs VKEY DIR
//
// DIR holds *.name-proof, *.catch-up, and `pin` (SPEC 8.2), from which the catch-ups lead.
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

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

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: proofs VKEY DIR")
		os.Exit(2)
	}
	defer func() {
		if f, ok := recover().(fault); ok {
			fmt.Fprintln(os.Stderr, "go: refused:", string(f))
			os.Exit(1)
		}
	}()
	verifier, err := note.NewVerifier(os.Args[1])
	check(err, "vkey")
	names := files(os.Args[2], "*.name-proof")
	for _, path := range names {
		checkName(read(path), verifier, filepath.Base(path))
	}
	catchUps := files(os.Args[2], "*.catch-up")
	for _, path := range catchUps {
		checkCatchUp(read(path), readPin(read(filepath.Join(os.Args[2], "pin"))), verifier, filepath.Base(path))
	}
	fmt.Printf("go: ok %d proofs of names, %d catch-ups\n", len(names), len(catchUps))
}

func files(dir, pattern string) []string {
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	check(err, "glob")
	must(len(found) > 0, "no %s in %s", pattern, dir)
	return found
}

func read(path string) string {
	data, err := os.ReadFile(path)
	check(err, "read")
	return string(data)
}

func decode(text, what string) []byte {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	check(err, "%s", what)
	return raw
}

func hash(text, what string) (h tlog.Hash) {
	raw := decode(text, what)
	must(len(raw) == tlog.HashSize, "%s: %d bytes of hash", what, len(raw))
	copy(h[:], raw)
	return h
}

func number(text, what string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	check(err, "%s", what)
	must(n >= 0 && strconv.FormatInt(n, 10) == text, "%s: number %q", what, text)
	return n
}

// open gives size and root of a signed checkpoint.
func open(text string, verifier note.Verifier, what string) (int64, tlog.Hash) {
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	check(err, "%s", what)
	lines := strings.Split(opened.Text, "\n")
	must(len(lines) == 4 && lines[0] == verifier.Name() && lines[3] == "", "%s: the checkpoint's lines", what)
	return number(lines[1], what), hash(lines[2], what)
}

// parts splits at the first empty line.
func parts(text, what string) ([]string, string) {
	at := strings.Index(text, "\n\n")
	must(at >= 0, "%s has no empty line", what)
	return strings.Split(text[:at], "\n"), text[at+2:]
}

func checkName(text string, verifier note.Verifier, what string) {
	head, inclusion := parts(text, what)
	must(len(head) == 2 && head[0] == "tabellion-proof v1" && strings.HasPrefix(head[1], "state-proof "), "%s: the lines in front", what)
	lines, checkpoint := parts(inclusion, what)
	must(len(lines) >= 3 && lines[0] == "c2sp.org/tlog-proof@v1", "%s: no tlog-proof", what)
	must(strings.HasPrefix(lines[1], "extra ") && strings.HasPrefix(lines[2], "index "), "%s: lines 2 and 3", what)
	entry, index := decode(lines[1][6:], what), number(lines[2][6:], what)
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		proof = append(proof, hash(line, what))
	}
	size, root := open(checkpoint, verifier, what)
	must(size == index+1, "%s: index %d in size %d", what, index, size)
	check(tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(entry)), "%s", what)
}

type pin struct {
	size int64
	root tlog.Hash
}

func readPin(text string) pin {
	lines := strings.Split(text, "\n")
	must(len(lines) == 9 && lines[0] == "tabellion-pin v1", "pin: lines")
	must(strings.HasPrefix(lines[2], "number ") && strings.HasPrefix(lines[3], "root "), "pin: lines 3 and 4")
	return pin{number(lines[2][7:], "pin"), hash(lines[3][5:], "pin")}
}

func checkCatchUp(text string, from pin, verifier note.Verifier, what string) {
	lines, checkpoint := parts(text, what)
	must(strings.HasPrefix(lines[0], "old "), "%s: line 1", what)
	old := number(lines[0][4:], what)
	must(old == from.size, "%s: from %d, pinned at %d", what, old, from.size)
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		proof = append(proof, hash(line, what))
	}
	size, root := open(checkpoint, verifier, what)
	check(tlog.CheckTree(proof, size, root, old, from.root), "%s", what)
}
