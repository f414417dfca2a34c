"""Traces and logs as runtimes and loggers write them, in words of our own."""

# name: (trace, what its gist must say, what it must not say)
TRACES: dict[str, tuple[str, list[str], list[str]]] = {
    "java with causes": (
        """java.lang.IllegalStateException: basket is closed
\tat shop.Basket.add(Basket.java:41) ~[app.jar!/:1.0]
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: shop.StoreException: cannot write
\tat shop.Store$$Lambda/0x00007f.write(Unknown Source)
\t... 12 more
Caused by: java.sql.SQLTransientConnectionException: pool main is empty
\tat shop.Pool.take(Pool.java:9)
\t... 13 common frames omitted""",
        ["basket is closed", "pool main is empty"],
        ["cannot write", "Basket.java", "more"],
    ),
    "java, uncaught": (
        """Exception in thread "main" java.lang.OutOfMemoryError: Java heap space
\tat shop.Cache.fill(Cache.java:77)
\tat shop.Main.main(Main.java:5)""",
        ["OutOfMemoryError: Java heap space"],
        ["Cache.java"],
    ),
    "java, frames with spaces": (
        """shop.OutOfStock: none left
        at shop.Basket.add(Basket.java:41)
        at shop.Main.main(Main.java:5)""",
        ["shop.OutOfStock: none left"],
        ["Basket.java"],
    ),
    "python": (
        """Traceback (most recent call last):
  File "/app/basket.py", line 41, in add
    store.write(item)
    ~~~~~~~~~~~^^^^^^
  File "/app/store.py", line 7, in write
    raise OutOfStock(item)
shop.OutOfStock: none left""",
        ["shop.OutOfStock: none left"],
        ["basket.py", "raise"],
    ),
    "python, chained": (
        """Traceback (most recent call last):
  File "/app/store.py", line 7, in write
    return known[item]
KeyError: 'tea'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/basket.py", line 41, in add
    store.write(item)
ValueError: no such item""",
        ["KeyError: 'tea'", "ValueError: no such item"],
        ["basket.py", "During"],
    ),
    "go panic": (
        """panic: runtime error: invalid memory address or nil pointer dereference
[signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47c2a5]

goroutine 18 [running]:
main.(*Basket).Add(0x0, {0x4a1b2c, 0x3})
\t/src/basket.go:41 +0x1d
created by main.serve in goroutine 1
\t/src/main.go:12 +0x9a
exit status 2""",
        ["panic: runtime error: invalid memory address"],
        ["basket.go", "goroutine"],
    ),
    "go fatal error": (
        """fatal error: all goroutines are asleep - deadlock!

goroutine 1 [chan receive]:
main.main()
\t/src/main.go:8 +0x28""",
        ["all goroutines are asleep"],
        ["main.go"],
    ),
    "node": (
        """TypeError: Cannot read properties of undefined (reading 'price')
    at Basket.add (/app/basket.js:41:19)
    at async Promise.all (index 0)
    at /app/server.js:7:3
    at node:internal/process/task_queues:95:5""",
        ["Cannot read properties of undefined"],
        ["basket.js"],
    ),
    ".net": (
        """System.InvalidOperationException: Basket is closed
 ---> System.TimeoutException: The store did not answer
   at Shop.Store.Write(Item item) in /src/Store.cs:line 7
   --- End of inner exception stack trace ---
   at Shop.Basket.Add[T](T item) in /src/Basket.cs:line 41
--- End of stack trace from previous location ---
   at Shop.Program.<Main>$(String[] args) in /src/Program.cs:line 3""",
        ["Basket is closed", "The store did not answer"],
        ["Basket.cs", "End of"],
    ),
    "rust": (
        """thread 'main' panicked at src/basket.rs:41:9:
index out of bounds: the len is 3 but the index is 7
stack backtrace:
   0: rust_begin_unwind
             at /rustc/9fc6b4312/library/std/src/panicking.rs:652:5
   1: shop::basket::add
             at ./src/basket.rs:41:9
note: run with `RUST_BACKTRACE=full` environment variable to display a verbose backtrace""",
        ["panicked at", "index out of bounds"],
        ["unwind", "RUST_BACKTRACE"],
    ),
    "php": (
        """PHP Fatal error:  Uncaught RuntimeException: basket is closed in /app/basket.php:41
Stack trace:
#0 /app/shop.php(7): Basket->add()
#1 {main}
  thrown in /app/basket.php on line 41""",
        ["Uncaught RuntimeException: basket is closed"],
        ["shop.php", "thrown"],
    ),
    "ruby": (
        """/app/basket.rb:41:in 'Basket#add': basket is closed (RuntimeError)
\tfrom /app/shop.rb:7:in 'block in <main>'
\tfrom /app/shop.rb:3:in '<main>'""",
        ["basket is closed (RuntimeError)"],
        ["shop.rb"],
    ),
    "rails": (
        """NoMethodError (undefined method `price' for nil:NilClass):

app/models/basket.rb:41:in `add'
app/controllers/shop_controller.rb:7:in `create'""",
        ["undefined method `price'"],
        ["shop_controller"],
    ),
}

# name: (lines as they were written, the gist of each record)
LOGS: dict[str, tuple[str, list[str]]] = {
    "node, uncaught": (
        """/app/basket.js:41
    throw new Error('basket is closed');
    ^

Error: basket is closed
    at Basket.add (/app/basket.js:41:11)
    at Module._compile (node:internal/modules/cjs/loader:1105:14) {
  code: 'E_CLOSED',
  [cause]: TypeError: no store
      at Store.get (/app/store.js:3:5)
}

Node.js v20.11.0""",
        [
            "/app/basket.js:41 throw new Error('basket is closed'); ^ Error: basket is closed "
            "[cause]: TypeError: no store"
        ],
    ),
    ".net's console": (
        """fail: Shop.BasketController[0]
      Order 7 failed
      System.TimeoutException: The store did not answer
         at Shop.Store.Write() in /src/Store.cs:line 7
info: Shop.BasketController[0]
      Order 8 placed""",
        [
            "fail: Shop.BasketController[0] Order 7 failed "
            "System.TimeoutException: The store did not answer",
            "info: Shop.BasketController[0] Order 8 placed",
        ],
    ),
    "a group of exceptions": (
        """  + Exception Group Traceback (most recent call last):
  |   File "/app/main.py", line 5, in main
  |     raise ExceptionGroup("two", [a, b])
  | ExceptionGroup: two (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: a
    +------------------------------------""",
        [
            "  + Exception Group Traceback (most recent call last): "
            "ExceptionGroup: two (2 sub-exceptions) ValueError: a"
        ],
    ),
    "go's http server": (
        """2026/05/28 10:00:01 http: panic serving 10.0.0.1:5512: boom
goroutine 34 [running]:
net/http.(*conn).serve.func1()
\t/usr/local/go/src/net/http/server.go:1850 +0xbf
panic({0x64dd20, 0x8e4c50})
\t/usr/local/go/src/runtime/panic.go:890 +0x262
main.handler.func1(...)
\t/src/main.go:12
2026/05/28 10:00:02 placed order 8""",
        [
            "2026/05/28 10:00:01 http: panic serving 10.0.0.1:5512: boom",
            "2026/05/28 10:00:02 placed order 8",
        ],
    ),
    "klog": (
        """E0528 10:00:01.123456       1 runtime.go:79] Observed a panic: "boom"
goroutine 12 [running]:
k8s.io/util/runtime.logPanic({0x1, 0x2})
\t/go/pkg/mod/k8s.io/util/runtime/runtime.go:75 +0x85
I0528 10:00:02.123456       1 a.go:79] next""",
        [
            'E0528 10:00:01.123456       1 runtime.go:79] Observed a panic: "boom"',
            "I0528 10:00:02.123456       1 a.go:79] next",
        ],
    ),
    "causes of what was suppressed": (
        """10:00:01,123 ERROR [shop.Basket] (task-1) failed: java.lang.Exception: a
\tat shop.A.b(A.java:1)
\tSuppressed: java.io.IOException: closing
\t\tat shop.C.d(C.java:2)
\tCaused by: java.lang.RuntimeException: of the suppressed
\t\tat x.y(z.java:1)
Caused by: java.net.ConnectException: Connection refused
\t... 3 more
10:00:02,123 INFO  [shop.Basket] (task-1) next""",
        [
            "10:00:01,123 ERROR [shop.Basket] (task-1) failed: java.lang.Exception: a "
            "Caused by: java.net.ConnectException: Connection refused",
            "10:00:02,123 INFO  [shop.Basket] (task-1) next",
        ],
    ),
    "compose": (
        """cart-1  | Traceback (most recent call last):
cart-1  |   File "/app/a.py", line 1, in x
cart-1  |     y()
cart-1  | ValueError: no
cart-1  | INFO: next""",
        [
            "cart-1  | Traceback (most recent call last): ValueError: no",
            "cart-1  | INFO: next",
        ],
    ),
    "postgres": (
        """2026-05-28 10:00:01.123 UTC [71] ERROR:  duplicate key
2026-05-28 10:00:01.123 UTC [71] STATEMENT:  INSERT INTO orders
\tVALUES (7)""",
        [
            "2026-05-28 10:00:01.123 UTC [71] ERROR:  duplicate key",
            "2026-05-28 10:00:01.123 UTC [71] STATEMENT:  INSERT INTO orders VALUES (7)",
        ],
    ),
    "ruby's logger": (
        """E, [2026-05-28T10:00:01.123456 #1] ERROR -- : order failed: no row (StoreError)
/app/basket.rb:41:in 'Basket#add'
I, [2026-05-28T10:00:02.123456 #1]  INFO -- : next""",
        [
            "E, [2026-05-28T10:00:01.123456 #1] ERROR -- : order failed: no row (StoreError)",
            "I, [2026-05-28T10:00:02.123456 #1]  INFO -- : next",
        ],
    ),
}
