// Verifies tokens with go-oidc, which keeps what it fetched as long as it was told by the server, and
// a key that it knows for ever. Each line that is read is a question, as JSON; each line that is written
// is its number and `ok`, or why not.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	oidc "github.com/coreos/go-oidc"
)

type question struct {
	Number                                  int
	URL, Token, Algorithm, Issuer, Audience string
}

func main() {
	sets := map[string]oidc.KeySet{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			panic(err)
		}
		set, known := sets[asked.URL]
		if !known {
			set = oidc.NewRemoteKeySet(context.Background(), asked.URL)
			sets[asked.URL] = set
		}
		verifier := oidc.NewVerifier(asked.Issuer, set, &oidc.Config{
			ClientID:             asked.Audience,
			SupportedSigningAlgs: []string{asked.Algorithm},
		})
		said := "ok"
		if _, err := verifier.Verify(context.Background(), asked.Token); err != nil {
			said = strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(asked.Number, said)
	}
}
