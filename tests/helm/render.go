// Renders a chart by the engine that Helm renders with: text/template and Sprig.
// Usage: render CHART < {"Values": …, "Release": …, "Chart": …}; one JSON object of file name -> text.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type files struct{ root string }

// Get is `.Files.Get`: a file that is not there is empty.
func (f files) Get(name string) string {
	text, _ := os.ReadFile(filepath.Join(f.root, name))
	return string(text)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	root := os.Args[1]
	scope := map[string]interface{}{}
	check(json.NewDecoder(os.Stdin).Decode(&scope))
	scope["Files"] = files{root}
	chart := template.New("chart").Option("missingkey=error").Funcs(sprig.TxtFuncMap())
	chart.Funcs(template.FuncMap{
		"include": func(name string, data interface{}) (string, error) {
			var out bytes.Buffer
			err := chart.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"toYaml": func(value interface{}) (string, error) {
			var out bytes.Buffer
			encoder := yaml.NewEncoder(&out)
			encoder.SetIndent(2)
			err := encoder.Encode(value)
			return strings.TrimSuffix(out.String(), "\n"), err
		},
		"required": func(why string, value interface{}) (interface{}, error) {
			if value == nil || value == "" {
				return nil, fmt.Errorf("%s", why)
			}
			return value, nil
		},
	})
	names, err := filepath.Glob(filepath.Join(root, "templates", "*"))
	check(err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(err)
		_, err = chart.New(filepath.Base(name)).Parse(string(text))
		check(err)
	}
	rendered := map[string]string{}
	for _, name := range names {
		if base := filepath.Base(name); !strings.HasPrefix(base, "_") {
			var out bytes.Buffer
			check(chart.ExecuteTemplate(&out, base, scope))
			rendered[base] = out.String()
		}
	}
	check(json.NewEncoder(os.Stdout).Encode(rendered))
}
