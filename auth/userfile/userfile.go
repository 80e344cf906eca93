// Package userfile reads and writes files of accounts in the formats of firebase-tools' auth:import and auth:export: JSON, and CSV of 28 columns
// without a header.
//
// Reading streams: a file of millions of accounts needs no more memory than one of ten. What an account may contain is not checked here but by
// the server that gets it; only what cannot be understood is an error, which says where. Times are milliseconds since 1970, as text; hashes and salts are base64 as they stand
// in the file. The package knows no server and no hash algorithm.
package userfile

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Account is one account of a file.
type Account struct {
	LocalID          string     `json:"localId"`
	Email            string     `json:"email,omitempty"`
	EmailVerified    bool       `json:"emailVerified"`
	PasswordHash     string     `json:"passwordHash,omitempty"`
	Salt             string     `json:"salt,omitempty"`
	DisplayName      string     `json:"displayName,omitempty"`
	PhotoURL         string     `json:"photoUrl,omitempty"`
	LastSignedInAt   Text       `json:"lastSignedInAt,omitempty"`
	CreatedAt        Text       `json:"createdAt,omitempty"`
	PhoneNumber      string     `json:"phoneNumber,omitempty"`
	Disabled         bool       `json:"disabled,omitempty"`
	CustomAttributes string     `json:"customAttributes,omitempty"`
	Providers        []Provider `json:"providerUserInfo"`
}

// Provider is an identity of an account at a provider.
type Provider struct {
	ProviderID  string `json:"providerId"`
	RawID       string `json:"rawId,omitempty"`
	Email       string `json:"email,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
	PhotoURL    string `json:"photoUrl,omitempty"`
}

// Text is a text that some files write as a number.
type Text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] != '"' {
		var n *json.Number
		if err := json.Unmarshal(b, &n); err != nil {
			return err
		}
		if n != nil {
			*t = Text(*n)
		}
		return nil
	}
	return json.Unmarshal(b, (*string)(t))
}

// ReadJSON calls f for each account of a JSON file, {"users": [...]}, until it returns an error, which is returned.
func ReadJSON(r io.Reader, f func(*Account) error) error {
	d := json.NewDecoder(bufio.NewReader(r))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return formatError(err, `a file of accounts is a JSON object with "users"`)
	}
	found := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return formatError(err, "")
		}
		if key != "users" {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return formatError(err, "")
			}
			continue
		}
		found = true
		if t, err := d.Token(); err != nil || t != json.Delim('[') {
			return formatError(err, `"users" must be an array`)
		}
		for i := 0; d.More(); i++ {
			var a Account
			if err := d.Decode(&a); err != nil {
				return fmt.Errorf("users[%d]: %w", i, err)
			}
			if err := f(&a); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return formatError(err, "")
		}
	}
	if _, err := d.Token(); err != nil {
		return formatError(err, "")
	}
	if !found {
		return errors.New(`the file has no "users"`)
	}
	return nil
}

func formatError(err error, otherwise string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the file ends in the middle")
	}
	if err == nil {
		return errors.New(otherwise)
	}
	return err
}

// Columns of a CSV file. Four follow for each of the providers: id, address, name, picture.
const (
	colUID = iota
	colEmail
	colVerified
	colHash
	colSalt
	colName
	colPhoto
	colProviders
	colCreated = iota - 1 + 4*4
	colSeen    = colCreated + 1
	colPhone   = colCreated + 2
	colOff     = colCreated + 3
	colClaims  = colCreated + 4
)

var csvProviders = []string{"google.com", "facebook.com", "twitter.com", "github.com"}

// minColumns is what older files have.
const minColumns = colPhone + 1

// ReadCSV calls f for each account of a CSV file, until it returns an error, which is returned.
func ReadCSV(r io.Reader, f func(*Account) error) error {
	c := csv.NewReader(bufio.NewReader(r))
	c.FieldsPerRecord = -1
	c.LazyQuotes = true // firebase-tools writes quotes within names as they are
	c.ReuseRecord = true
	for {
		rec, err := c.Read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(rec) < minColumns {
			line, _ := c.FieldPos(0)
			return fmt.Errorf("line %d has %d columns; an account has 28", line, len(rec))
		}
		at := func(i int) string {
			if i < len(rec) {
				return strings.Clone(rec[i])
			}
			return ""
		}
		a := &Account{
			LocalID: at(colUID), Email: at(colEmail), EmailVerified: at(colVerified) == "true", PasswordHash: at(colHash), Salt: at(colSalt),
			DisplayName: at(colName), PhotoURL: at(colPhoto), CreatedAt: Text(at(colCreated)), LastSignedInAt: Text(at(colSeen)),
			PhoneNumber: at(colPhone), Disabled: at(colOff) == "true", CustomAttributes: at(colClaims),
		}
		for i, id := range csvProviders {
			k := colProviders + 4*i
			if at(k) != "" {
				a.Providers = append(a.Providers, Provider{ProviderID: id, RawID: at(k), Email: at(k + 1), DisplayName: at(k + 2), PhotoURL: at(k + 3)})
			}
		}
		if err := f(a); err != nil {
			return err
		}
	}
}

// Writer writes a file of accounts. Close ends it.
type Writer struct {
	w     *bufio.Writer
	csv   *csv.Writer // nil for JSON
	wrote int
}

// NewJSON returns a Writer of JSON.
func NewJSON(w io.Writer) *Writer { return &Writer{w: bufio.NewWriter(w)} }

// NewCSV returns a Writer of CSV. Providers other than the four that have columns are left out, as firebase-tools does.
func NewCSV(w io.Writer) *Writer {
	b := bufio.NewWriter(w)
	return &Writer{w: b, csv: csv.NewWriter(b)}
}

// Write adds an account.
func (w *Writer) Write(a *Account) error {
	w.wrote++
	if w.csv != nil {
		return w.csv.Write(record(a))
	}
	sep := ",\n"
	if w.wrote == 1 {
		sep = "{\"users\": [\n"
	}
	b := *a
	if b.Providers == nil {
		b.Providers = []Provider{}
	}
	text, err := json.MarshalIndent(&b, "", "  ")
	if err != nil {
		return err
	}
	if _, err := w.w.WriteString(sep); err != nil {
		return err
	}
	_, err = w.w.Write(text)
	return err
}

func record(a *Account) []string {
	rec := make([]string, colClaims+1)
	for i, v := range map[int]string{
		colUID: a.LocalID, colEmail: a.Email, colVerified: fmt.Sprint(a.EmailVerified), colHash: a.PasswordHash, colSalt: a.Salt, colName: a.DisplayName,
		colPhoto: a.PhotoURL, colCreated: string(a.CreatedAt), colSeen: string(a.LastSignedInAt), colPhone: a.PhoneNumber, colOff: fmt.Sprint(a.Disabled),
		colClaims: a.CustomAttributes,
	} {
		rec[i] = v
	}
	for _, p := range a.Providers {
		for i, id := range csvProviders {
			if p.ProviderID == id {
				copy(rec[colProviders+4*i:], []string{p.RawID, p.Email, p.DisplayName, p.PhotoURL})
			}
		}
	}
	return rec
}

// Close writes the end. The file under it stays the caller's.
func (w *Writer) Close() error {
	if w.csv != nil {
		w.csv.Flush()
		return errors.Join(w.csv.Error(), w.w.Flush())
	}
	end := "\n]}\n"
	if w.wrote == 0 {
		end = "{\"users\": []}\n"
	}
	if _, err := w.w.WriteString(end); err != nil {
		return err
	}
	return w.w.Flush()
}
