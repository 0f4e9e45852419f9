module github.com/funcatron/funcatron

go 1.26.0
