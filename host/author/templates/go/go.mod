module {{name}}

go 1.25

require mezzo.dev/go v0.0.0

replace mezzo.dev/go => ./.mezzo/sdk/go
