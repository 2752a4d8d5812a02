// Command fork verifies a proof of a fork (SPEC 4.10) with golang.org/x/mod/sumdb, the code of Go's own module transparency log. It shares no
// line with tabellion.
//
// Usage: fork VKEY FILE
//
// VKEY is the log's vkey, as you were told. It accepts a proof, and then refuses it with each of its bits flipped, one at a time.
package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// fault ends the verification: the proof is refused.
type fault string

func must(ok bool, format string, args ...interface{}) {
	if !ok {
		panic(fault(fmt.Sprintf(format, args...)))
	}
}

func check(err error, what string) {
	if err != nil {
		panic(fault(what + ": " + err.Error()))
	}
}

// statement is what one signed text says; index is -1 without a record, paper empty without an answer.
type statement struct {
	size           int64
	root           string
	index          int64
	record         []byte
	paper, session string
	text           string
}

var answerText = regexp.MustCompile(`^(.*)/verdict v1
paper sha256:([0-9a-f]{64})
(?:verdict refused|notice pending|notice deferred) [a-z]+(?:-[a-z]+)*
common (0|[1-9][0-9]*) ([A-Za-z0-9+/=]{44})
session (0|[1-9][0-9]*)
policy sha256:[0-9a-f]{64}
detail [a-z0-9._/:+-]+(?: [a-z0-9._/:+-]+)*
$`)

// open verifies a note that carries exactly one signature, by the log's key.
func open(data []byte, verifier note.Verifier) string {
	n, err := note.Open(data, note.VerifierList(verifier))
	check(err, "note")
	must(len(n.Sigs) == 1 && len(n.UnverifiedSigs) == 0, "%d signatures, one expected", len(n.Sigs)+len(n.UnverifiedSigs))
	// sumdb/note leaves the unused last bits of base64 alone; the proof has one form.
	_, err = base64.StdEncoding.Strict().DecodeString(n.Sigs[0].Base64)
	check(err, "signature line")
	return n.Text
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	check(err, "number")
	must(strconv.FormatInt(n, 10) == text && n >= 0, "number %q", text)
	return n
}

func hash(text string) (h tlog.Hash) {
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	check(err, "hash")
	must(len(raw) == tlog.HashSize, "a hash of %d bytes", len(raw))
	copy(h[:], raw)
	return h
}

func checkpoint(data []byte, verifier note.Verifier) statement {
	text := open(data, verifier)
	lines := strings.Split(text, "\n")
	must(len(lines) == 4 && lines[0] == verifier.Name() && lines[3] == "", "no checkpoint of %s", verifier.Name())
	hash(lines[2])
	return statement{size: number(lines[1]), root: lines[2], index: -1, text: text}
}

func read(data []byte, verifier note.Verifier) statement {
	const first = "c2sp.org/tlog-proof@v1\n"
	if bytes.HasPrefix(data, []byte(first)) {
		at := bytes.Index(data, []byte("\n\n"))
		must(at > 0, "a proof without an empty line")
		lines := strings.Split(string(data[:at]), "\n")
		must(len(lines) >= 3 && strings.HasPrefix(lines[1], "extra ") && strings.HasPrefix(lines[2], "index "), "lines 2 and 3 of a proof")
		s := checkpoint(data[at+2:], verifier)
		record, err := base64.StdEncoding.Strict().DecodeString(lines[1][6:])
		check(err, "extra")
		s.record, s.index = record, number(lines[2][6:])
		var proof tlog.RecordProof
		for _, l := range lines[3:] {
			proof = append(proof, hash(l))
		}
		check(tlog.CheckRecord(proof, s.size, hash(s.root), s.index, tlog.RecordHash(record)), "proof of inclusion")
		return s
	}
	if bytes.HasPrefix(data, []byte(verifier.Name()+"/verdict v1\n")) {
		text := open(data, verifier)
		m := answerText.FindStringSubmatch(text)
		must(m != nil && m[1] == verifier.Name(), "no verdict note of %s", verifier.Name())
		hash(m[4])
		return statement{size: number(m[3]), root: m[4], index: -1, paper: m[2], session: m[5], text: text}
	}
	return checkpoint(data, verifier)
}

var proofText = regexp.MustCompile(`^tabellion-fork v1
vkey ([^\n]+)
claim (head|record|answer)
first ([A-Za-z0-9+/=]+)
second ([A-Za-z0-9+/=]+)
$`)

// verify gives the claim, or why the proof is refused.
func verify(data []byte, vkey string) (claim string, err error) {
	defer func() {
		if f, ok := recover().(fault); ok {
			err = fmt.Errorf("%s", string(f))
		}
	}()
	m := proofText.FindStringSubmatch(string(data))
	must(m != nil, "no fork proof of SPEC 4.10")
	must(m[1] == vkey, "about the key %s", m[1])
	verifier, err := note.NewVerifier(vkey)
	check(err, "vkey")
	var raw [2][]byte
	for i := range raw {
		raw[i], err = base64.StdEncoding.Strict().DecodeString(m[3+i])
		check(err, "base64")
	}
	must(bytes.Compare(raw[0], raw[1]) < 0, "the statements do not ascend")
	a, b := read(raw[0], verifier), read(raw[1], verifier)
	switch m[2] {
	case "head":
		must(a.index < 0 && b.index < 0, "a proof of inclusion, where heads are compared")
		must(a.size == b.size && a.root != b.root, "heads %d %s and %d %s can both be true", a.size, a.root, b.size, b.root)
	case "record":
		must(a.index >= 0 && a.index == b.index && !bytes.Equal(a.record, b.record), "no two records at one index")
	case "answer":
		must(a.paper != "" && a.paper == b.paper && a.session == b.session && a.text != b.text, "no two answers to one paper")
	}
	return m[2], nil
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: fork VKEY FILE")
		os.Exit(2)
	}
	data, err := os.ReadFile(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, "go: refused:", err)
		os.Exit(1)
	}
	claim, err := verify(data, os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "go: refused:", err)
		os.Exit(1)
	}
	for at := range data {
		for bit := 0; bit < 8; bit++ {
			flipped := append([]byte(nil), data...)
			flipped[at] ^= 1 << bit
			if _, err := verify(flipped, os.Args[1]); err == nil {
				fmt.Fprintf(os.Stderr, "go: accepted with bit %d of byte %d flipped\n", bit, at)
				os.Exit(1)
			}
		}
	}
	fmt.Printf("go: ok fork by %s, refused with each of %d bits flipped\n", claim, 8*len(data))
}
