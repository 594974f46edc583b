// SPDX-License-Identifier: EUPL-1.2

package signer_test

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	"pecd/signer"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	must(t, err)
	return b
}

func TestTranscodeBER(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"DER":                          {"3003020105", "3003020105"},
		"empty sequence":               {"3000", "3000"},
		"primitive alone":              {"020105", "020105"},
		"indefinite":                   {"30800201050000", "3003020105"},
		"indefinite and empty":         {"30800000", "3000"},
		"indefinite in indefinite":     {"308030800201050000" + "0000", "30053003020105"},
		"indefinite in definite":       {"300730800201050000", "30053003020105"},
		"definite in indefinite":       {"308030030201050000", "30053003020105"},
		"siblings":                     {"30803080000030800000" + "0201050000", "300730003000020105"},
		"length in the long form":      {"308103020105", "3003020105"},
		"length with zeros":            {"30840000000702840000000105", "3003020105"},
		"length with eight octets":     {"30880000000000000003020105", "3003020105"},
		"octet string in pieces":       {"2480040101040202030000", "0403010203"},
		"octet string, definite":       {"2407040101040202" + "03", "0403010203"},
		"octet string, nested":         {"24802480040101000004020203" + "0000", "0403010203"},
		"octet string, empty":          {"24800000", "0400"},
		"octet string in a sequence":   {"3080248004010100000201050000", "3006040101020105"},
		"tag above thirty":             {"bf8701800201050000", "bf870103020105"},
		"primitive tag above thirty":   {"9f870103020105", "9f870103020105"},
		"trailing octets":              {"3003020105ffff", "3003020105"},
		"trailing after indefinite":    {"30800201050000ffff", "3003020105"},
		"zeros in the contents":        {"300404020000", "300404020000"},
		"zeros at an indefinite start": {"3080040200000000", "300404020000"},
		"order of a set is kept":       {"31800201020201010000", "3106020102020101"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := signer.TranscodeBER(unhex(t, c.in))
			if err != nil || hex.EncodeToString(got) != c.want {
				t.Errorf("%x, %v, want %s", got, err, c.want)
			}
		})
	}
}

func TestTranscodeBERRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"nothing":                    "",
		"tag alone":                  "30",
		"end-of-contents alone":      "0000",
		"end-of-contents misplaced":  "30020000",
		"end-of-contents with body":  "30800001050000",
		"no end-of-contents":         "3080020105",
		"half an end-of-contents":    "308002010500",
		"contents too short":         "3004020105",
		"inner longer than outer":    "3003020205",
		"inner indefinite, no end":   "300530800201050000",
		"primitive, indefinite":      "02800000",
		"reserved length":            "30ff",
		"length of nine octets":      "3089000000000000000003020105",
		"length octets missing":      "308400",
		"huge length":                "3088ffffffffffffffff",
		"negative when signed":       "30888000000000000000",
		"string with something else": "24800201050000",
		"string with a sequence":     "248030000000",
		"tag number without end":     "3f8080808080808001",
		"tag number cut":             "3f80",
		"tag number, no length":      "3f01",
		"empty indefinite cut":       "3080",
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := signer.TranscodeBER(unhex(t, in)); err == nil {
				t.Errorf("got %x", got)
			}
		})
	}
}

// Lengths around every change of the size of their encoding.
func TestTranscodeBERLengths(t *testing.T) {
	for _, n := range []int{0, 1, 124, 125, 126, 127, 128, 129, 252, 253, 255, 256, 65531, 65532, 65535, 65536, 70000} {
		want := tlv(0x30, tlv(0x04, make([]byte, n)))
		in := indefinite(0x30, indefinite(0x24, tlv(0x04, make([]byte, n/2)), tlv(0x04, make([]byte, n-n/2))))
		if got, err := signer.TranscodeBER(in); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestTranscodeBERDepth(t *testing.T) {
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x30, 0x80}, n), make([]byte, 2*n)...) }
	if _, err := signer.TranscodeBER(nested(32)); err != nil {
		t.Error(err)
	}
	if _, err := signer.TranscodeBER(nested(33)); err == nil {
		t.Error("33 deep")
	}
}

// What is DER already is not copied.
func TestTranscodeBERKeepsDER(t *testing.T) {
	in := tlv(0x30, tlv(0x04, make([]byte, 1000)))
	if n := testing.AllocsPerRun(10, func() { _, _ = signer.TranscodeBER(in) }); n > 8 {
		t.Errorf("%v allocations", n)
	}
	out, err := signer.TranscodeBER(in)
	must(t, err)
	if &out[0] != &in[0] {
		t.Error("copied")
	}
}

// Twice the input takes about twice the time, whatever its shape.
func TestTranscodeBERIsLinear(t *testing.T) {
	for name, unit := range map[string][]byte{
		"empty sequences": {0x30, 0x80, 0, 0},
		"chunks":          {0x24, 0x80, 4, 1, 7, 4, 1, 7, 0, 0},
		"nested":          append(bytes.Repeat([]byte{0x30, 0x80}, 30), make([]byte, 60)...),
	} {
		in := indefinite(0x30, bytes.Repeat(unit, 240<<10/len(unit)))
		start := time.Now()
		_, err := signer.TranscodeLargeBER(in)
		if d := time.Since(start); err != nil || d > 500*time.Millisecond {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
}

func BenchmarkTranscodeBER(b *testing.B) {
	in := indefinite(0x30, bytes.Repeat(tlv(0x24, tlv(0x04, make([]byte, 1000))), 200))
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := signer.TranscodeBER(in); err != nil {
			b.Fatal(err)
		}
	}
}
