module mail

go 1.25
