// Command oracle answers, one JSON line per JSON line, what Go and client-go make of an input.
// The tests of app/engine compare their own results with these answers.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/util/jsonpath"
)

type request struct {
	Kind     string          `json:"kind"`
	Text     string          `json:"text"`
	Document json.RawMessage `json:"document"`
}

type reply struct {
	Result string `json:"result"`
	// Stage is empty on success, else the step that failed: parse, execute or panic.
	Stage string `json:"stage"`
	Error string `json:"error"`
}

func evaluate(expression string, document json.RawMessage) (answer reply) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = reply{Stage: "panic", Error: fmt.Sprint(cause)}
		}
	}()
	var data any
	// The decoder of unstructured objects: whole numbers become int64, others float64.
	if err := utiljson.Unmarshal(document, &data); err != nil {
		return reply{Stage: "document", Error: err.Error()}
	}
	path := jsonpath.New("oracle")
	if err := path.Parse(expression); err != nil {
		return reply{Stage: "parse", Error: err.Error()}
	}
	var out bytes.Buffer
	if err := path.Execute(&out, data); err != nil {
		return reply{Stage: "execute", Error: err.Error()}
	}
	return reply{Result: out.String()}
}

func duration(text string) reply {
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return reply{Stage: "parse", Error: err.Error()}
	}
	return reply{Result: fmt.Sprintf("%d %s", parsed.Nanoseconds(), parsed.Round(time.Millisecond))}
}

// proxy answers through which proxy net/http calls the URL in text, with the environment in document.
func proxy(text string, document json.RawMessage) reply {
	var environment map[string]string
	if err := json.Unmarshal(document, &environment); err != nil {
		return reply{Stage: "document", Error: err.Error()}
	}
	either := func(upper, lower string) string {
		if value := environment[upper]; value != "" {
			return value
		}
		return environment[lower]
	}
	target, err := url.Parse(text)
	if err != nil {
		return reply{Stage: "parse", Error: err.Error()}
	}
	config := httpproxy.Config{
		HTTPProxy:  either("HTTP_PROXY", "http_proxy"),
		HTTPSProxy: either("HTTPS_PROXY", "https_proxy"),
		NoProxy:    either("NO_PROXY", "no_proxy"),
		CGI:        environment["REQUEST_METHOD"] != "",
	}
	chosen, err := config.ProxyFunc()(target)
	if err != nil {
		return reply{Stage: "execute", Error: err.Error()}
	}
	if chosen == nil {
		return reply{}
	}
	return reply{Result: chosen.String()}
}

// manifest answers the documents that kubectl finds in a text, as the API server has them, as one JSON array.
func manifest(text string) reply {
	decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	documents := []any{}
	for {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); err == io.EOF {
			break
		} else if err != nil {
			return reply{Stage: "parse", Error: err.Error()}
		}
		trimmed := bytes.TrimSpace(raw.Raw)
		if len(trimmed) == 0 || bytes.Equal(trimmed, []byte("null")) {
			continue
		}
		var document any
		if err := utiljson.Unmarshal(trimmed, &document); err != nil {
			return reply{Stage: "document", Error: err.Error()}
		}
		documents = append(documents, document)
	}
	encoded, err := json.Marshal(documents)
	if err != nil {
		return reply{Stage: "execute", Error: err.Error()}
	}
	return reply{Result: string(encoded)}
}

func answer(input request) reply {
	switch input.Kind {
	case "jsonpath":
		return evaluate(input.Text, input.Document)
	case "duration":
		return duration(input.Text)
	case "proxy":
		return proxy(input.Text, input.Document)
	case "manifest":
		return manifest(input.Text)
	case "quote":
		return reply{Result: strconv.Quote(input.Text)}
	default:
		return reply{Stage: "request", Error: "unknown kind " + input.Kind}
	}
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var input request
		if err := json.Unmarshal(line, &input); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if err := out.Encode(answer(input)); err != nil {
			return
		}
	}
}
