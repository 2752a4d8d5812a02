// Command papers verifies every paper of a published folder (SPEC 8.3) with fxamacker/cbor and Go's crypto/ed25519: the encoding, every
// signature over its Sig_structure, who signed, and that records and papers name each other.
//
// Usage: papers FOLDER
//
// FOLDER holds tabellion/common.
package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor"
)

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

var (
	enc cbor.EncMode
	dec cbor.DecMode
)

func init() {
	var err error
	enc, err = cbor.CoreDetEncOptions().EncMode()
	check(err, "cbor")
	dec, err = cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 16,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	}.DecMode()
	check(err, "cbor")
}

// deterministic refuses an item that another encoder writes in other bytes (SPEC 1.1, RFC 8949 section 4.2.1).
func deterministic(data []byte, what string) {
	var v interface{}
	check(dec.Unmarshal(data, &v), "%s", what)
	again, err := enc.Marshal(v)
	check(err, "%s", what)
	must(bytes.Equal(again, data), "%s is not deterministic CBOR", what)
}

func decode(data []byte, v interface{}, what string) {
	deterministic(data, what)
	check(dec.Unmarshal(data, v), "%s", what)
}

type sign struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[interface{}]interface{}
	Payload     []byte
	Signatures  []signature
}

type signature struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[interface{}]interface{}
	Signature   []byte
}

type signProtected struct {
	Alg int64  `cbor:"1,keyasint"`
	Kid []byte `cbor:"4,keyasint"`
}

type bodyProtected struct {
	Media string `cbor:"3,keyasint"`
}

// record is a log entry (SPEC 4.4); what is not looked at is named, for an unknown key is refused.
type record struct {
	Structure string          `cbor:"0,keyasint"`
	Number    int64           `cbor:"1,keyasint"`
	Kind      int64           `cbor:"2,keyasint"`
	Pid       []byte          `cbor:"3,keyasint"`
	Env       []byte          `cbor:"4,keyasint"`
	State     []byte          `cbor:"5,keyasint"`
	Policy    []byte          `cbor:"6,keyasint"`
	Ledger    []byte          `cbor:"7,keyasint"`
	Session   int64           `cbor:"8,keyasint"`
	Time      int64           `cbor:"9,keyasint"`
	Keys      cbor.RawMessage `cbor:"10,keyasint"`
	Next      []byte          `cbor:"11,keyasint"`
	Judged    []byte          `cbor:"12,keyasint"`
	Epoch     int64           `cbor:"13,keyasint"`
	NewPolicy []byte          `cbor:"14,keyasint"`
}

// sessionItem is an item of sessions/<s>.papers (SPEC 8.3).
type sessionItem struct {
	_        struct{} `cbor:",toarray"`
	Envelope cbor.RawMessage
	Verdict  string
	Detail   string
	// Rows [sha256, size, fault] and, of a tree, the bytes of its members behind them.
	Objects [][]interface{}
}

// keyring maps the kid of each key to the key and whether it is active.
type keyring map[string]memberKey

type memberKey struct {
	member string
	public ed25519.PublicKey
	active bool
}

// kidOf is the RFC 9679 thumbprint of SPEC 3.3.
func kidOf(public []byte) string {
	sum := sha256.Sum256(append([]byte{0xA3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20}, public...))
	return string(sum[:])
}

// keysOf reads the members' keys of a policy (SPEC 3.9). A policy that was only proposed, and refused, may be unsound: name a key twice.
func keysOf(policy []byte, proposed bool, what string) keyring {
	deterministic(policy, what)
	var p map[int64]cbor.RawMessage
	check(dec.Unmarshal(policy, &p), "%s", what)
	var members []struct {
		Name string `cbor:"0,keyasint"`
		Keys []struct {
			_      struct{} `cbor:",toarray"`
			Public []byte
			Status int64
		} `cbor:"1,keyasint"`
		Quota int64 `cbor:"2,keyasint"`
	}
	check(dec.Unmarshal(p[1], &members), "%s", what)
	ring := keyring{}
	for _, m := range members {
		for _, k := range m.Keys {
			must(len(k.Public) == ed25519.PublicKeySize, "%s: key of %s", what, m.Name)
			_, twice := ring[kidOf(k.Public)]
			must(!twice || proposed, "%s: a key of %s stands twice", what, m.Name)
			ring[kidOf(k.Public)] = memberKey{m.Name, k.Public, k.Status == 1}
		}
	}
	return ring
}

// allow says whether a key may have made a signature.
type allow func(kid string) (memberKey, bool)

// paper is an envelope whose every signature was verified.
type paper struct {
	pid, env  [32]byte
	media     string
	newPolicy []byte // of a set-policy
	signers   int
}

// verify checks form and every signature of an envelope (SPEC 3.1 to 3.4, 6.6). A set-policy's signers may be of either policy.
func verify(envelope []byte, allowed allow, what string) paper {
	must(bytes.HasPrefix(envelope, []byte{0xD8, 0x62, 0x84}), "%s is no tagged COSE_Sign", what)
	deterministic(envelope, what)
	var tag cbor.RawTag
	check(dec.Unmarshal(envelope, &tag), "%s", what)
	var s sign
	check(dec.Unmarshal(tag.Content, &s), "%s", what)
	var body bodyProtected
	decode(s.Protected, &body, what+": protected header")
	deterministic(s.Payload, what+": payload")
	must(s.Unprotected != nil && len(s.Unprotected) == 0, "%s: unprotected header", what)
	must(len(s.Signatures) >= 1 && len(s.Signatures) <= 512, "%s has %d signatures", what, len(s.Signatures))
	p := paper{pid: sha256.Sum256(s.Payload), env: sha256.Sum256(envelope), media: body.Media, signers: len(s.Signatures)}
	p.newPolicy = newPolicy(s.Payload, body.Media, what)
	var proposed keyring
	if p.newPolicy != nil {
		proposed = keysOf(p.newPolicy, true, what+": new policy")
	}
	before := ""
	for _, one := range s.Signatures {
		var h signProtected
		decode(one.Protected, &h, what+": signature's protected header")
		must(h.Alg == -8 && len(h.Kid) == 32, "%s: algorithm %d", what, h.Alg)
		must(one.Unprotected != nil && len(one.Unprotected) == 0, "%s: signature's unprotected header", what)
		kid := string(h.Kid)
		must(before < kid, "%s: signatures do not ascend by kid", what)
		before = kid
		key, ok := allowed(kid)
		if !ok {
			key, ok = proposed[kid]
			ok = ok && key.active
		}
		must(ok, "%s: kid %x is no active key of a member", what, kid)
		toSign, err := enc.Marshal([]interface{}{"Signature", s.Protected, one.Protected, []byte{}, s.Payload})
		check(err, "%s", what)
		must(ed25519.Verify(key.public, toSign, one.Signature), "%s: the signature of %s does not verify", what, key.member)
	}
	return p
}

// newPolicy is the policy that a proposal sets, if it is a set-policy (SPEC 3.6).
func newPolicy(payload []byte, media, what string) []byte {
	if media != "application/vnd.tabellion.proposal+cbor" {
		return nil
	}
	var p map[int64]cbor.RawMessage
	check(dec.Unmarshal(payload, &p), "%s", what)
	var operations []map[int64]cbor.RawMessage
	check(dec.Unmarshal(p[5], &operations), "%s", what)
	if len(operations) != 1 || !bytes.Equal(operations[0][0], []byte{3}) {
		return nil
	}
	var policy []byte
	check(dec.Unmarshal(operations[0][4], &policy), "%s", what)
	return policy
}

type folder struct {
	common   string
	records  []record
	policies map[string]keyring // by SHA-256
	charter  string             // hash of the first policy
	verified int
}

func (f *folder) read(path string) []byte {
	data, err := os.ReadFile(filepath.Join(f.common, filepath.FromSlash(path)))
	check(err, "read")
	return data
}

func (f *folder) glob(pattern string) []string {
	paths, err := filepath.Glob(filepath.Join(f.common, filepath.FromSlash(pattern)))
	check(err, "glob")
	sort.Strings(paths)
	return paths
}

// widths gives the data of each file of up to 256 items below dir, by the number of its first item and how many it holds.
func (f *folder) widths(dir string, visit func(first, width int64, data []byte, what string)) {
	root := filepath.Join(f.common, filepath.FromSlash(dir))
	check(filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		rel, err := filepath.Rel(root, path)
		check(err, "path")
		name, width := filepath.ToSlash(rel), int64(256)
		if at := strings.Index(name, ".p/"); at >= 0 {
			width, err = strconv.ParseInt(name[at+3:], 10, 64)
			check(err, "path %s", rel)
			name = name[:at]
		}
		n, err := strconv.ParseInt(strings.NewReplacer("x", "", "/", "").Replace(name), 10, 64)
		check(err, "path %s", rel)
		data, err := os.ReadFile(path)
		check(err, "read")
		visit(256*n, width, data, dir+"/"+filepath.ToSlash(rel))
		return nil
	}), "walk %s", dir)
}

func (f *folder) readRecords() {
	byNumber := map[int64][]byte{}
	f.widths("tile/entries", func(first, width int64, data []byte, what string) {
		for i := int64(0); i < width; i++ {
			must(len(data) >= 2, "%s breaks off", what)
			n := 2 + int(binary.BigEndian.Uint16(data))
			must(len(data) >= n, "%s breaks off", what)
			old, twice := byNumber[first+i+1]
			must(!twice || bytes.Equal(old, data[2:n]), "%s: record %d differs from another file's", what, first+i+1)
			byNumber[first+i+1], data = data[2:n], data[n:]
		}
		must(len(data) == 0, "%s holds more than %d records", what, width)
	})
	for n := int64(1); n <= int64(len(byNumber)); n++ {
		var r record
		what := fmt.Sprintf("record %d", n)
		must(byNumber[n] != nil, "%s is missing", what)
		decode(byNumber[n], &r, what)
		must(r.Number == n && r.Structure == "tabellion/record/1", "%s says it is %d of %s", what, r.Number, r.Structure)
		f.records = append(f.records, r)
	}
	must(len(f.records) > 0, "there are no records")
}

// readPolicies takes the first policy from the charter and the others from policies/, each under its hash.
func (f *folder) readPolicies() {
	var tag cbor.RawTag
	var s sign
	check(dec.Unmarshal(f.read("charter.cose"), &tag), "charter.cose")
	check(dec.Unmarshal(tag.Content, &s), "charter.cose")
	var payload map[int64]cbor.RawMessage
	check(dec.Unmarshal(s.Payload, &payload), "charter.cose")
	var policy []byte
	check(dec.Unmarshal(payload[6], &policy), "charter.cose: policy")
	sum := sha256.Sum256(policy)
	f.charter = string(sum[:])
	f.policies = map[string]keyring{f.charter: keysOf(policy, false, "charter.cose: policy")}
	for _, path := range f.glob("policies/*.cbor") {
		data, err := os.ReadFile(path)
		check(err, "read")
		sum := sha256.Sum256(data)
		name := filepath.Base(path)
		must(name == hex.EncodeToString(sum[:])+".cbor", "policies/%s has SHA-256 %x", name, sum)
		f.policies[string(sum[:])] = keysOf(data, false, name)
	}
}

func (f *folder) ring(hash []byte, what string) keyring {
	ring, ok := f.policies[string(hash)]
	must(ok, "%s: policies/%x.cbor is missing", what, hash)
	return ring
}

// active allows the keys that are active in one policy.
func active(ring keyring) allow {
	return func(kid string) (memberKey, bool) {
		k, ok := ring[kid]
		return k, ok && k.active
	}
}

// known allows every key that some policy ever had: the author of a paper refused `author-not-active` has no other.
func (f *folder) known(kid string) (memberKey, bool) {
	for _, ring := range f.policies {
		if k, ok := ring[kid]; ok {
			return k, true
		}
	}
	return memberKey{}, false
}

// checkRecords compares each record with its paper and follows the policy in force.
func (f *folder) checkRecords() {
	inForce := f.charter
	for _, r := range f.records {
		must(string(r.Policy) == inForce, "record %d: judged by policy %x, in force is %x", r.Number, r.Policy, inForce)
		if r.Kind == 2 {
			f.ring(r.NewPolicy, fmt.Sprintf("record %d", r.Number))
			inForce = string(r.NewPolicy)
		}
	}
	done := map[int64]bool{}
	f.widths("papers", func(first, width int64, data []byte, what string) {
		for _, envelope := range sequence(data, what) {
			first, width = first+1, width-1
			must(first <= int64(len(f.records)), "%s: there is no record %d", what, first)
			f.checkPaper(envelope, f.records[first-1], fmt.Sprintf("%s: paper of record %d", what, first))
			done[first] = true
		}
		must(width == 0, "%s: %d papers fewer than its name says", what, width)
	})
	must(len(done) == len(f.records), "papers are there for %d of %d records", len(done), len(f.records))
	f.checkPaper(f.read("charter.cose"), f.records[0], "charter.cose")
	for _, path := range f.glob("rotation/*.order") {
		n, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(path), ".order"), 10, 64)
		check(err, "%s", path)
		must(n >= 1 && n <= int64(len(f.records)), "rotation/%d.order: no such record", n)
		f.checkPaper(f.read(fmt.Sprintf("rotation/%d.order", n)), f.records[n-1], filepath.Base(path))
	}
}

var mediaOfKind = []string{"charter", "proposal", "proposal", "order", "order", "order", "order"}

func (f *folder) checkPaper(envelope []byte, r record, what string) {
	p := verify(envelope, active(f.ring(r.Policy, what)), what)
	must(bytes.Equal(p.pid[:], r.Pid), "%s: its payload has SHA-256 %x, the record says %x", what, p.pid, r.Pid)
	must(bytes.Equal(p.env[:], r.Env), "%s: it has SHA-256 %x, the record says %x", what, p.env, r.Env)
	must(r.Kind >= 0 && r.Kind < int64(len(mediaOfKind)), "%s: kind %d", what, r.Kind)
	must(p.media == "application/vnd.tabellion."+mediaOfKind[r.Kind]+"+cbor", "%s: media type %s in kind %d", what, p.media, r.Kind)
	must((r.Kind == 2) == (p.newPolicy != nil), "%s: kind %d", what, r.Kind)
	if r.Kind == 2 {
		sum := sha256.Sum256(p.newPolicy)
		must(bytes.Equal(sum[:], r.NewPolicy), "%s: sets policy %x, the record says %x", what, sum, r.NewPolicy)
	}
	f.verified += p.signers
}

// sequence splits a CBOR sequence.
func sequence(data []byte, what string) [][]byte {
	var out [][]byte
	d := dec.NewDecoder(bytes.NewReader(data))
	for at := int64(0); at < int64(len(data)); at = d.NumBytesRead() {
		var raw cbor.RawMessage
		check(d.Decode(&raw), "%s", what)
		out = append(out, append([]byte{}, raw...))
	}
	return out
}

// checkSessions verifies what each session judged, refused papers too, and that its records commit to it (SPEC 4.4 key 12).
func (f *folder) checkSessions() int {
	sessions := map[int64]bool{}
	for _, path := range f.glob("sessions/*/*.papers") {
		name := filepath.Base(path)
		s, err := strconv.ParseInt(strings.TrimSuffix(name, ".papers"), 10, 64)
		check(err, "%s", name)
		sessions[s] = true
		data, err := os.ReadFile(path)
		check(err, "%s", name)
		var own []record
		policy := []byte(f.charter)
		for _, r := range f.records {
			if r.Session == s {
				own = append(own, r)
			} else if r.Session < s && r.Kind == 2 {
				policy = r.NewPolicy
			}
		}
		judged := [][]interface{}{}
		accepted := 0
		for i, item := range sequence(data, name) {
			what := fmt.Sprintf("sessions/%s: paper %d", name, i+1)
			var one sessionItem
			decode(item, &one, what)
			allowed := active(f.ring(policy, what))
			if one.Verdict == "refused author-not-active" {
				allowed = f.known
			}
			p := verify(one.Envelope, allowed, what)
			f.verified += p.signers
			judged = append(judged, []interface{}{p.pid[:], p.env[:]})
			if one.Verdict == "accepted" && accepted < len(own) && bytes.Equal(own[accepted].Pid, p.pid[:]) {
				must(bytes.Equal(own[accepted].Env, p.env[:]), "%s: its envelope is not that of record %d", what, own[accepted].Number)
				accepted++
			} else {
				must(one.Verdict != "accepted" || strings.Contains(p.media, "order"), "%s: accepted, but no record of it comes next", what)
			}
		}
		must(accepted == len(own), "sessions/%s accepts %d papers, the log %d", name, accepted, len(own))
		sort.Slice(judged, func(i, j int) bool { return bytes.Compare(judged[i][0].([]byte), judged[j][0].([]byte)) < 0 })
		list, err := enc.Marshal(judged)
		check(err, "%s", name)
		sum := sha256.Sum256(list)
		for _, r := range own {
			must(bytes.Equal(r.Judged, sum[:]), "record %d commits to other papers than sessions/%s holds", r.Number, name)
		}
	}
	for _, r := range f.records {
		must(sessions[r.Session], "the papers of session %d are missing", r.Session)
	}
	return len(sessions)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: papers FOLDER")
		os.Exit(2)
	}
	defer func() {
		if f, ok := recover().(fault); ok {
			fmt.Fprintln(os.Stderr, "go: refused:", string(f))
			os.Exit(1)
		}
	}()
	f := &folder{common: filepath.Join(os.Args[1], "tabellion", "common")}
	f.readRecords()
	f.readPolicies()
	f.checkRecords()
	sessions := f.checkSessions()
	fmt.Printf("go: %d signatures verified, %d policies, %d sessions\n", f.verified, len(f.policies), sessions)
	fmt.Printf("go: ok papers of common@%d\n", len(f.records))
}
