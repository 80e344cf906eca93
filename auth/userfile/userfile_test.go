package userfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func all(t *testing.T, read func(io.Reader, func(*Account) error) error, text string) (list []Account, err error) {
	t.Helper()
	err = read(strings.NewReader(text), func(a *Account) error { list = append(list, *a); return nil })
	return list, err
}

// A file as firebase auth:export writes it.
const exported = `{"users": [
{
  "localId": "u1",
  "email": "ann@example.com",
  "emailVerified": true,
  "passwordHash": "lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==",
  "salt": "42xEC+ixf3L2lw==",
  "displayName": "Ann",
  "lastSignedInAt": "1486324027000",
  "createdAt": "1486324027000",
  "disabled": false,
  "customAttributes": "{\"a\":1}",
  "providerUserInfo": [{"providerId": "google.com", "rawId": "g1", "email": "ann@gmail.example.com"}]
},
{
  "localId": "u2", "createdAt": 1486324027001, "somethingNew": {"x": [1]},
  "providerUserInfo": []
}
]}`

func TestReadJSON(t *testing.T) {
	list, err := all(t, ReadJSON, exported)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 2 || list[0].LastSignedInAt != "1486324027000" || list[0].Providers[0].RawID != "g1" || list[1].CreatedAt != "1486324027001" || list[0].CustomAttributes != `{"a":1}` {
		t.Errorf("%+v", list)
	}
	for text, want := range map[string]string{
		"":                            "ends in the middle",
		"[]":                          "a JSON object",
		"{}":                          "no \"users\"",
		`{"users": {}}`:               "an array",
		`{"users": [{"localId": 1}]}`: "users[0]",
		`{"users": [{}`:               "ends in the middle",
		`{"x": [1], "users": []`:      "ends in the middle",
	} {
		if _, err := all(t, ReadJSON, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Lines as firebase auth:export writes them: a comma at the end, claims in quotes, quotes within names as they are.
func TestReadCSV(t *testing.T) {
	text := `u1,ann@example.com,true,aGFzaA==,c2FsdA==,"Ann, the first",https://x.example/a.png,g1,ann@gmail.example.com,Ann G,,,,,,,,,,h1,,,,1486324027000,1486324027001,+15555550100,true,"{""a"":1}",` + "\n" +
		`u2,,false,,,Bob "the" 2nd,,,,,,,,,,,,,,,,,,1486324027002,,,false,,` + "\n"
	list, err := all(t, ReadCSV, text)
	if err != nil {
		t.Fatal(err)
	}
	want := Account{
		LocalID: "u1", Email: "ann@example.com", EmailVerified: true, PasswordHash: "aGFzaA==", Salt: "c2FsdA==", DisplayName: "Ann, the first", PhotoURL: "https://x.example/a.png",
		CreatedAt: "1486324027000", LastSignedInAt: "1486324027001", PhoneNumber: "+15555550100", Disabled: true, CustomAttributes: `{"a":1}`,
		Providers: []Provider{{ProviderID: "google.com", RawID: "g1", Email: "ann@gmail.example.com", DisplayName: "Ann G"}, {ProviderID: "github.com", RawID: "h1"}},
	}
	if !reflect.DeepEqual(list[0], want) {
		t.Errorf("%+v", list[0])
	}
	if list[1].DisplayName != `Bob "the" 2nd` || list[1].CreatedAt != "1486324027002" {
		t.Errorf("%+v", list[1])
	}
	if _, err := all(t, ReadCSV, "u1,a@b.cc\n"); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
}

func TestAnErrorOfTheCallerEndsReading(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	err := ReadJSON(strings.NewReader(exported), func(*Account) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Error(err, n)
	}
}

// What is written is read again as it was.
func TestRoundTrip(t *testing.T) {
	word := rapid.StringMatching(`[a-zA-Z0-9 ü😀,"'{}:;\\]{0,12}`)
	rapid.Check(t, func(rt *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) Account {
			a := Account{
				LocalID: rapid.StringMatching(`[a-z]{1,8}`).Draw(rt, "uid"), Email: word.Draw(rt, "email"), EmailVerified: rapid.Bool().Draw(rt, "verified"),
				PasswordHash: word.Draw(rt, "hash"), Salt: word.Draw(rt, "salt"), DisplayName: word.Draw(rt, "name"), PhotoURL: word.Draw(rt, "photo"),
				CreatedAt: Text(rapid.StringMatching(`[0-9]{0,13}`).Draw(rt, "created")), PhoneNumber: word.Draw(rt, "phone"), Disabled: rapid.Bool().Draw(rt, "disabled"),
				CustomAttributes: word.Draw(rt, "claims"),
			}
			for _, id := range csvProviders {
				if rapid.Bool().Draw(rt, id) {
					a.Providers = append(a.Providers, Provider{ProviderID: id, RawID: "r" + word.Draw(rt, "raw"), Email: word.Draw(rt, "pemail")})
				}
			}
			return a
		}), 0, 5).Draw(rt, "accounts")
		for name, f := range map[string]struct {
			make func(io.Writer) *Writer
			read func(io.Reader, func(*Account) error) error
		}{"JSON": {NewJSON, ReadJSON}, "CSV": {NewCSV, ReadCSV}} {
			var b bytes.Buffer
			w := f.make(&b)
			for i := range list {
				if err := w.Write(&list[i]); err != nil {
					rt.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				rt.Fatal(err)
			}
			var got []Account
			err := f.read(&b, func(a *Account) error {
				if len(a.Providers) == 0 {
					a.Providers = nil
				}
				got = append(got, *a)
				return nil
			})
			if err != nil {
				rt.Fatal(name, err)
			}
			if !reflect.DeepEqual(got, list) && len(got)+len(list) > 0 {
				rt.Fatalf("%s: %+v, want %+v", name, got, list)
			}
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add(exported)
	f.Add("u1,,,,,,,,,,,,,,,,,,,,,,,1,,,,,\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, read := range []func(io.Reader, func(*Account) error) error{ReadJSON, ReadCSV} {
			_ = read(strings.NewReader(text), func(a *Account) error {
				_, err := json.Marshal(a)
				return err
			})
		}
	})
}
