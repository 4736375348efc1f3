// Uses ClickHouse's Go driver against a server, as a program of somebody's would: `main ADDRESS DATABASE USER PASSWORD
// COMPRESSION`. It prints what it saw as one JSON object, and ends with exit code 1 at the first surprise.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

const inserted = 100_000

var methods = map[string]clickhouse.CompressionMethod{
	"none":    clickhouse.CompressionNone,
	"lz4":     clickhouse.CompressionLZ4,
	"zstd":    clickhouse.CompressionZSTD,
	"gzip":    clickhouse.CompressionGZIP,
	"deflate": clickhouse.CompressionDeflate,
}

type row struct {
	A uint64    `ch:"a"`
	B string    `ch:"b"`
	C *float64  `ch:"c"`
	D time.Time `ch:"d"`
	E []string  `ch:"e"`
}

func made(number uint64) row {
	one := row{A: number, B: fmt.Sprintf("it's \\ \n ☃ %d", number), E: []string{"x", "it's"}}
	one.D = time.Date(2026, 1, 5, 4, 30, 0, 123_000_000, time.UTC)
	if number%2 == 0 {
		half := float64(number) / 2
		one.C = &half
	}
	return one
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func code(err error) int32 {
	var exception *clickhouse.Exception
	if errors.As(err, &exception) {
		return exception.Code
	}
	log.Fatalf("no exception of the server's: %v", err)
	return 0
}

func insert(ctx context.Context, server driver.Conn, first, count uint64) error {
	batch, err := server.PrepareBatch(ctx, "INSERT INTO g (a, b, c, d, e)")
	if err != nil {
		return err
	}
	for number := first; number < first+count; number++ {
		one := made(number)
		if err := batch.AppendStruct(&one); err != nil {
			return err
		}
	}
	return batch.Send()
}

func failure(ctx context.Context, server driver.Conn, sql string) int32 {
	rows, err := server.Query(ctx, sql)
	if err != nil {
		return code(err)
	}
	defer rows.Close()
	for rows.Next() {
	}
	return code(rows.Err())
}

func main() {
	ctx := context.Background()
	server, err := clickhouse.Open(&clickhouse.Options{
		Protocol:    clickhouse.HTTP,
		Addr:        []string{os.Args[1]},
		Auth:        clickhouse.Auth{Database: os.Args[2], Username: os.Args[3], Password: os.Args[4]},
		Compression: &clickhouse.Compression{Method: methods[os.Args[5]], Level: 3},
	})
	must(err)
	seen := map[string]any{}

	must(server.Ping(ctx))
	must(server.Exec(ctx, `CREATE TABLE g (a UInt64, b String, c Nullable(Float64), d DateTime64(3, 'UTC'),
		e Array(String), CONSTRAINT small CHECK a < 1000000) ENGINE = MergeTree ORDER BY a`))
	must(insert(ctx, server, 0, inserted))
	seen["refused"] = code(insert(ctx, server, 1_000_000-5, 10))

	bound := clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"from": "7", "like": "it's%"}))
	var found []row
	must(server.Select(bound, &found, "SELECT * FROM g WHERE a > {from:UInt64} AND b LIKE {like:String} ORDER BY a LIMIT 2"))
	for index, one := range found {
		if got, want := fmt.Sprintf("%+v", plain(one)), fmt.Sprintf("%+v", plain(made(uint64(8+index)))); got != want {
			log.Fatalf("got %s, inserted %s", got, want)
		}
	}
	seen["found"] = len(found)

	rows, err := server.Query(ctx, "SELECT a, b FROM g ORDER BY a")
	must(err)
	var sum, length, a uint64
	var b string
	for rows.Next() {
		must(rows.Scan(&a, &b))
		sum, length = sum+a, length+1
		if b != made(a).B {
			log.Fatalf("got %q", b)
		}
	}
	must(rows.Err())
	seen["sum"], seen["rows"] = sum, length

	seen["unknown"] = failure(ctx, server, "SELECT * FROM nowhere")
	seen["syntax"] = failure(ctx, server, "SELEKT 1")
	seen["late"] = failure(ctx, server, "SELECT throwIf(number = 900000) FROM numbers(1000000)")
	must(json.NewEncoder(os.Stdout).Encode(seen))
}

func plain(one row) []any {
	half := -1.0
	if one.C != nil {
		half = *one.C
	}
	return []any{one.A, one.B, half, one.D.UTC(), one.E}
}
