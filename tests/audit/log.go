// Checks an audit log with what Go checks its checksum database with: the signature of a checkpoint, its
// root over exported lines, the proof of one event, and that the log goes on from an older checkpoint.
//
//	log KEY CHECKPOINT EVENTS PROOF OLDER CONSISTENCY
//
// Each is a file: the last five as the program prints them or the API answers them. It prints ok, or why not.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type tree struct {
	size int64
	root tlog.Hash
}

func main() {
	if err := check(os.Args[1:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

func check(files []string) error {
	var texts []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		texts = append(texts, string(text))
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(texts[0]))
	if err != nil {
		return err
	}
	signed, err := open(texts[1], verifier)
	if err != nil {
		return err
	}
	if err := whole(texts[2], signed); err != nil {
		return err
	}
	if err := included(texts[3], verifier); err != nil {
		return err
	}
	older, err := open(texts[4], verifier)
	if err != nil {
		return err
	}
	var proof struct{ Proof []string }
	if err := json.Unmarshal([]byte(texts[5]), &proof); err != nil {
		return err
	}
	hashes, err := parse(proof.Proof)
	if err != nil {
		return err
	}
	return tlog.CheckTree(hashes, signed.size, signed.root, older.size, older.root)
}

func open(text string, verifier note.Verifier) (tree, error) {
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[0] != verifier.Name() {
		return tree{}, fmt.Errorf("%q is no checkpoint of this log", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tree{size, root}, err
}

// The first lines must have the root that was signed.
func whole(events string, signed tree) error {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var hashes []tlog.Hash
		for _, index := range indexes {
			hashes = append(hashes, stored[index])
		}
		return hashes, nil
	})
	lines := strings.Split(strings.TrimSuffix(events, "\n"), "\n")
	for number := int64(0); number < signed.size; number++ {
		hashes, err := tlog.StoredHashes(number, []byte(lines[number]), read)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	root, err := tlog.TreeHash(signed.size, read)
	if err == nil && root != signed.root {
		err = fmt.Errorf("the root is %v and not %v", root, signed.root)
	}
	return err
}

func included(text string, verifier note.Verifier) error {
	var shown struct{ Event, Proof string }
	if err := json.Unmarshal([]byte(text), &shown); err != nil {
		return err
	}
	proof, checkpoint, _ := strings.Cut(shown.Proof, "\n\n")
	signed, err := open(checkpoint, verifier)
	if err != nil {
		return err
	}
	lines := strings.Split(proof, "\n")
	position, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	hashes, err := parse(lines[2:])
	if err != nil {
		return err
	}
	event := tlog.RecordHash([]byte(shown.Event))
	return tlog.CheckRecord(hashes, signed.size, signed.root, position, event)
}

func parse(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}
